-- Moves a job that lies under a name of its queue's own (`wait`, `marker`, ...) to a fresh id in the failed set, and so frees
-- the name. One that had ended already only moves: it stays done or dead. Twice does no harm: the second finds no hash.
-- KEYS[1] own
-- KEYS[2] letter
-- KEYS[3] lock
-- KEYS[4] wait
-- KEYS[5] active
-- KEYS[6] delayed
-- KEYS[7] prioritized
-- KEYS[8] children
-- KEYS[9] completed
-- KEYS[10] failed
-- KEYS[11] stalled
-- KEYS[12] marker
-- KEYS[13] orphans
-- KEYS[14] dedupe
-- ARGV[1] name
-- ARGV[2] id
-- ARGV[3] reason
-- ARGV[4] stacks
-- ARGV[5] at
-- Replies {1, state it was in} or {0} when there was nothing (any more).
local name, id, letter = ARGV[1], ARGV[2], KEYS[2]
local isHash = redis.call('TYPE', KEYS[1]).ok == 'hash'

-- Any of these may itself be the impostor, so a wrong type is no error here.
local function try(...)
  local reply = redis.pcall(...)
  return type(reply) ~= 'table' and reply or nil
end
local ended = (try('ZSCORE', KEYS[9], name) and 'done') or (try('ZSCORE', KEYS[10], name) and 'dead') or nil
local score = try('ZSCORE', ended == 'done' and KEYS[9] or KEYS[10], name) or ARGV[5]

if isHash and name == 'meta' then
  for _, field in ipairs({ 'name', 'data', 'opts', 'timestamp', 'delay', 'priority', 'processedOn', 'pb', 'ats', 'atm',
    'stc', 'progress', 'returnvalue', 'finishedOn', 'failedReason', 'stacktrace' }) do
    local value = redis.call('HGET', KEYS[1], field)
    if value then
      redis.call('HSET', letter, field, value)
      redis.call('HDEL', KEYS[1], field)
    end
  end
elseif isHash then
  redis.call('RENAME', KEYS[1], letter)
end

local found = ended
for state, key in pairs({ waiting = KEYS[4], active = KEYS[5] }) do
  if (try('LREM', key, 0, name) or 0) > 0 then found = state end
end
for state, key in pairs({ parked = KEYS[6], prioritized = KEYS[7], children = KEYS[8], done = KEYS[9], dead = KEYS[10] }) do
  if (try('ZREM', key, name) or 0) > 0 then found = state end
end
try('SREM', KEYS[11], name)
redis.call('DEL', KEYS[3])
if try('GET', KEYS[14]) == name then redis.call('DEL', KEYS[14]) end

local hasData = redis.call('HEXISTS', letter, 'data') == 1
if not found and not hasData then
  -- Nothing, or a field that a late pod wrote after the job had been buried.
  redis.call('DEL', letter)
  return { 0 }
end
-- BullMQ itself may have dropped the hash (it deletes `pc` when the lane is empty): what is left is still told.
if not hasData then redis.call('HSET', letter, 'name', name, 'data', 'null', 'opts', '{}', 'timestamp', ARGV[5]) end
if not ended then
  redis.call('HSET', letter, 'failedReason', ARGV[3], 'stacktrace', ARGV[4], 'finishedOn', ARGV[5])
end
redis.call('ZADD', ended == 'done' and KEYS[9] or KEYS[10], score, id)
-- While it lay there scripts broke off half-way: whoever sweeps looks for the jobs they dropped.
redis.call('SET', KEYS[13], ARGV[5])
try('ZADD', KEYS[12], 0, '0')
return { 1, found or 'waiting' }
