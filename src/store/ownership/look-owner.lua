-- Who owns the lanes of a group, or did last. Whoever sees first that a term ran out puts that into the journal.
-- KEYS[1] owner   the lease
-- KEYS[2] lanes   of the group
-- KEYS[3] journal
-- KEYS[4] changes how often the lanes changed hands
-- ARGV[1] lane
-- ARGV[2] known   JSON object lane -> park or drain
-- ARGV[3] channel
-- Answers { lease or {}, lanes, the highest token ever issued }.
local lease = readLease(KEYS[1])
local lanes = knownLanes(KEYS[2], ARGV[2])
local names = {}
for name in pairs(lanes) do names[#names + 1] = name end
table.sort(names)
if tellExpired(KEYS[1], KEYS[3], KEYS[4], ARGV[1], lanes, lease) then
  local notice = { kind = 'expired', lane = ARGV[1], lanes = names, as = lease.as, by = lease.by, token = lease.token }
  call('PUBLISH', ARGV[3], cjson.encode(notice))
end
return { flatten(lease), names, lease.last or '0' }
