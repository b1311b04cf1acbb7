-- Ends a reservation, if it still stands for the job that was taken out.
-- KEYS[1] reservation
-- ARGV[1] id
-- Replies 1, or 0 when it stands for another or is over.
local mark = redis.call('GET', KEYS[1])
if not mark or string.sub(mark, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return 0 end
return redis.call('DEL', KEYS[1])
