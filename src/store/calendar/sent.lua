-- A request of an act is about to go out: from now on what becomes of it is unknown if its pod dies.
-- KEYS[1] windows any key of the upstream, for its slot
-- ARGV[1] agent
-- ARGV[2] token of its claim
-- Answers 1, or 0 when others have the agent by now.
if call('HGET', stateKey(ARGV[1]), 'token') ~= ARGV[2] then return 0 end
call('HSET', stateKey(ARGV[1]), 'sent', '1')
return 1
