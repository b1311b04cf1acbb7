-- Removes one dead letter with all its keys, as BullMQ's removeJob does, but only while it is the letter that was seen: removeJob
-- takes a job out of whatever set it is in, so one replayed a moment ago would be lost while it waits. Answers 1, or 0 when
-- it is not dead, or died at another instant (an empty instant means any). The journal is told in the same step.
-- KEYS[1] failed
-- KEYS[2] job
-- KEYS[3] events
-- KEYS[4] journal
-- ARGV[1] id
-- ARGV[2] diedAt
-- ARGV[3] queue
-- ARGV[4] who     empty: one of many, which are told together
-- ARGV[5] known   JSON of the entry

local failed, job, events = KEYS[1], KEYS[2], KEYS[3]
local id, diedAt, queue = ARGV[1], ARGV[2], ARGV[3]

local at = redis.call('ZSCORE', failed, id)
if not at then return 0 end
if diedAt ~= '' and tonumber(at) ~= tonumber(diedAt) then return 0 end

redis.call('ZREM', failed, id)
local dedupe = redis.call('HGET', job, 'deid')
if dedupe and redis.call('GET', queue .. 'de:' .. dedupe) == id then
  redis.call('DEL', queue .. 'de:' .. dedupe, queue .. 'dn:' .. dedupe)
end
-- What is dropped may be added again: its reservation ends with it.
local same = redis.call('HGET', job, 'lk:same')
if same and string.sub(redis.call('GET', same) or '', 1, #id + 1) == id .. ' ' then redis.call('DEL', same) end
redis.call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed', job .. ':unsuccessful')
-- 10,000 is how many events BullMQ keeps by default.
redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', 'event', 'removed', 'jobId', id, 'prev', 'failed')
if ARGV[4] ~= '' then writeEntry('job.dropped', KEYS[4], ARGV[4], ARGV[5], { before = 'dead', after = 'gone' }) end
return 1
