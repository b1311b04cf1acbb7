-- Makes a dead letter ready for another life: forgets what it once waited for and how often it lost its pod, and notes when it
-- was replayed. Does nothing, and answers 0, when it is no longer the letter that was seen (died at another instant; an empty
-- instant means any), or was replayed since the operation began (0 asks nothing): whatever the clocks of pods say of its
-- death, one operation gives a letter one life. The move itself is BullMQ's; dying before it leaves a dead letter as it was.
-- KEYS[1] failed
-- KEYS[2] job
-- ARGV[1] id
-- ARGV[2] diedAt
-- ARGV[3] begunAt
-- ARGV[4] replayedField
-- ARGV[5] gateField
-- ARGV[6] untilField
-- ARGV[7] reasonField
-- ARGV[8] parksField

local failed, job = KEYS[1], KEYS[2]
local id, diedAt, begunAt, replayedField = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local at = redis.call('ZSCORE', failed, id)
if not at or redis.call('EXISTS', job) == 0 then return 0 end
if diedAt ~= '' and tonumber(at) ~= tonumber(diedAt) then return 0 end
local replayedAt = tonumber(redis.call('HGET', job, replayedField) or '') or 0
if begunAt > 0 and replayedAt >= begunAt then return 0 end

local time = redis.call('TIME')
redis.call('HDEL', job, 'stc', ARGV[5], ARGV[6], ARGV[7], ARGV[8])
redis.call('HSET', job, replayedField, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
return 1
