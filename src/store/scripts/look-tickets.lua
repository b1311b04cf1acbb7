-- What still counts of Bottleneck's tickets, the last to end first, by Redis's clock. Reads only; of more than 5,000 batches those
-- that end last.
-- KEYS[1] limits
-- KEYS[2] uses      of the count
-- KEYS[3] settings  of the limiter of tickets
-- ARGV[1] count     the limit they are of
-- Answers for how long tickets are granted ahead, then of each batch in how many ms it ends, and its tickets.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local next = tonumber(redis.call('HGET', KEYS[3], 'nextRequest') or 0)
local seen = { math.ceil(math.max(0, next - now)) }
local batches = redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', '(' .. now, 'WITHSCORES', 'LIMIT', 0, 5000)
for i = 1, #batches, 2 do
  seen[#seen + 1] = tonumber(batches[i + 1]) - now
  seen[#seen + 1] = tonumber(redis.call('HGET', KEYS[1], 'n:' .. ARGV[1] .. '|' .. batches[i]) or 0)
end
return seen
