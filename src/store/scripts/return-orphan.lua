-- Puts a job that lies in none of its queue's sets back into its line, through the delayed set, from which BullMQ's own
-- fetch takes it by its priority. A script of BullMQ's that broke off half-way (a key of the wrong type) leaves such jobs.
-- KEYS[1] job
-- KEYS[2] wait
-- KEYS[3] active
-- KEYS[4] delayed
-- KEYS[5] prioritized
-- KEYS[6] children
-- KEYS[7] completed
-- KEYS[8] failed
-- KEYS[9] marker
-- KEYS[10] lock
-- ARGV[1] id
-- ARGV[2] at
-- Replies {1} when it was an orphan, else {0}.
local id = ARGV[1]
if redis.call('HEXISTS', KEYS[1], 'data') == 0 or redis.call('HEXISTS', KEYS[1], 'opts') == 0 then return { 0 } end
local timestamp, delay = unpack(redis.call('HMGET', KEYS[1], 'timestamp', 'delay'))
if not timestamp then return { 0 } end
for index = 4, 8 do
  if redis.call('ZSCORE', KEYS[index], id) then return { 0 } end
end
if redis.call('LPOS', KEYS[3], id) or redis.call('LPOS', KEYS[2], id) then return { 0 } end
-- A lock in nobody's name any more: its pod's settle broke off, and will be refused.
redis.call('DEL', KEYS[10])
local dueAt = math.max(tonumber(ARGV[2]), tonumber(timestamp) + (tonumber(delay) or 0))
redis.call('ZADD', KEYS[4], dueAt * 4096, id)
redis.call('ZADD', KEYS[9], 0, '0')
return { 1 }
