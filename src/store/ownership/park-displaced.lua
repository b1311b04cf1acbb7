-- Settles an attempt whose job's owner was displaced before it began: the job is set aside under its lock.
-- KEYS[1] lease of who may feed the lane
-- ARGV[1] lane
-- ARGV[2] job
-- ARGV[3] lock its token
-- Answers { 'parked' }, { 'lost' } when another has the job, or { 'back' } when its owner holds the lane again: it is put at the head of
-- its line.
local lane, id = ARGV[1], ARGV[2]
local key = Q .. lane .. ':' .. id
if call('GET', key .. ':lock') ~= ARGV[3] then return { 'lost' } end
local feeder, holder = feederOf(key), readHolder(KEYS[1])
if not feeder then return { 'lost' } end
cutLoose(lane, id, actingFor(lane))
if isDisplaced(feeder, holder) then
  putAside(lane, id, feeder, holder, { set = 'active' })
  return { 'parked' }
end
call('RPUSH', Q .. lane .. ':wait', id)
call('ZADD', Q .. lane .. ':marker', 0, '0')
return { 'back' }
