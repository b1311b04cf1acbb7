-- A request of an act is about to go out: from now on what becomes of it is unknown if its pod dies. Or none goes out after all.
-- KEYS[1] windows any key of the upstream, for its slot
-- ARGV[1] agent
-- ARGV[2] token of its claim
-- ARGV[3] isSent 0: what was said is taken back, nothing went out
-- Answers { 1, or 0 when others have the agent by now, what time it is }.
local isOurs = call('HGET', stateKey(ARGV[1]), 'token') == ARGV[2]
-- A Redis that is full lets a script that has taken something away go on.
if isOurs then call('HDEL', stateKey(ARGV[1]), 'sent') end
if isOurs and ARGV[3] == '1' then call('HSET', stateKey(ARGV[1]), 'sent', '1') end
return { isOurs and 1 or 0, text(now) }
