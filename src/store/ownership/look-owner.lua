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
if tellExpired(KEYS[1], KEYS[3], KEYS[4], ARGV[1], lanes, lease) then announce('expired', ARGV[3], ARGV[1], lanes, lease) end
return { flatten(lease), namesOf(lanes), lease.last or '0' }
