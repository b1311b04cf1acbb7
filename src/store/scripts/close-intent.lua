-- Writes what became of an intent, once: whoever takes it away writes. One that is kept is told too, and leaves its mark, because who
-- gave the order may only have been stopped: if that one comes back and does it after all, it is told then. Answers 1, or 0
-- when there was nothing to tell.
-- KEYS[1] intents
-- KEYS[2] journal
-- ARGV[1] id
-- ARGV[2] what
-- ARGV[3] who
-- ARGV[4] known  JSON of the entry
-- ARGV[5] keeps  empty: it is over for good

local id, what, keeps = ARGV[1], ARGV[2], ARGV[5] ~= ''
local text = redis.call('HGET', KEYS[1], id)
if not text then return 0 end
local wasKept = string.sub(text, 1, 1) == '-'
if keeps and wasKept then return 0 end
redis.call('HDEL', KEYS[1], id)
if wasKept and what == 'order.voided' then return 0 end
if keeps then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[1], id, string.format('-%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
end
writeEntry(what, KEYS[2], ARGV[3], ARGV[4], {})
return 1
