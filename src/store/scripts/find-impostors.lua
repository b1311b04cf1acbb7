-- Looks whether jobs lie under names of their queue's own (`wait`, `marker`, ...): a hash where the queue keeps something else. One
-- command for a lane instead of twenty, for it is asked of every lane every two seconds. Reads only.
-- KEYS[1] failed
-- KEYS[2] wait
-- KEYS[3] paused
-- KEYS[4] active
-- KEYS[5] delayed
-- KEYS[6] prioritized
-- KEYS[7] completed
-- KEYS[8] waiting-children
-- KEYS[9] stalled
-- KEYS[10] stalled-check
-- KEYS[11] limiter
-- KEYS[12] id
-- KEYS[13] pc
-- KEYS[14] marker
-- KEYS[15] events
-- KEYS[16] repeat
-- KEYS[17] metrics:completed:data
-- KEYS[18] metrics:failed:data
-- KEYS[19] meta
-- KEYS[20] orphans
-- Replies the numbers of the keys that are not as they should be, in the order in which they are to be buried: mostly none.
local ACTIVE, DELAYED, PC, META, ORPHANS = 4, 5, 13, 19, 20
local found, isHash = {}, {}

for n = 1, META - 1 do
  isHash[n] = redis.call('TYPE', KEYS[n]).ok == 'hash'
  if isHash[n] then found[#found + 1] = n end
end

-- Any of these may itself be the impostor, so a wrong type is no error here: neither a score nor a place.
local function isThere(...)
  local reply = redis.pcall(...)
  return type(reply) == 'string' or type(reply) == 'number'
end
if redis.pcall('HEXISTS', KEYS[META], 'data') == 1 then found[#found + 1] = META end
-- BullMQ deletes `pc` whenever it finds the lane empty, so this one may lie in a set with no hash to be seen.
if not isHash[PC] and (isThere('ZSCORE', KEYS[DELAYED], 'pc') or isThere('LPOS', KEYS[ACTIVE], 'pc')) then
  found[#found + 1] = PC
end
if redis.call('EXISTS', KEYS[ORPHANS]) == 1 then found[#found + 1] = ORPHANS end
return found
