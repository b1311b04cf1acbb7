-- Ends a lease before its time. Who it was, and its token, stay: what the owner fed is still known as theirs.
-- KEYS[1] owner   the lease
-- KEYS[2] lanes   of the group
-- KEYS[3] journal
-- KEYS[4] changes how often the lanes changed hands
-- ARGV[1] lane
-- ARGV[2] as
-- ARGV[3] by
-- ARGV[4] token   '' for any
-- ARGV[5] hold    it is ended only if this one renews it; '' for any
-- ARGV[6] ask     it is ended only if this call got it; '' for any
-- ARGV[7] why
-- ARGV[8] isLock  1: nothing is told here
-- ARGV[9] known   JSON object lane -> park or drain
-- ARGV[10] channel
-- Answers { 'released', lease, lanes }, { 'owned', lease }: by somebody else, { 'stale', lease }: by the same under another token,
-- hold or call, or { 'free', lease or {} }.
local lease = readLease(KEYS[1])
local lanes = knownLanes(KEYS[2], ARGV[9])
if not isLive(lease) then
  if ARGV[8] ~= '1' then tellExpired(KEYS[1], KEYS[3], KEYS[4], ARGV[1], lanes, lease) end
  return { 'free', flatten(lease) }
end
if lease.as ~= ARGV[2] or lease.by ~= ARGV[3] then return { 'owned', flatten(lease) } end
local function differs(given, is) return given ~= '' and given ~= is end
if differs(ARGV[4], lease.token) or differs(ARGV[5], lease.hold) or differs(ARGV[6], lease.ask) then
  return { 'stale', flatten(lease) }
end
lease['until'] = whole(now)
call('HSET', KEYS[1], 'until', lease['until'], 'told', lease.token)
if ARGV[8] ~= '1' then
  tell('lane.released', KEYS[3], lease.by, ARGV[1], lanes, lease, { why = ARGV[7] })
  count('released', KEYS[4], lanes)
  announce('released', ARGV[10], ARGV[1], lanes, lease)
end
return { 'released', flatten(lease), namesOf(lanes) }
