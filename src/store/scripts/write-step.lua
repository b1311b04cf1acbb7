-- Keeps the result of a step beside its job, if the attempt that made it still holds the job's lock: then the job is there too.
-- KEYS[1] job
-- KEYS[2] lock
-- ARGV[1] token
-- ARGV[2] field
-- ARGV[3] text
-- Replies 1, or 0 when the lock is another's or gone.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
