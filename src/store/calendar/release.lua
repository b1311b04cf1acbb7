-- Settles a job by BullMQ's own script, `bull`, and gives its agent back in the same move: charged, from its last answer, or as if it
-- had not been claimed. Whoever is late, because others have the agent by now, changes nothing of it.
-- KEYS and ARGV: BullMQ's, then one argument
-- ARGV[release] JSON { lane, job, pod, agent, token; costMs of the act | null; agoMs since its last answer; answeredAt, the same by
-- this clock, no earlier than it was | null; untilMs, it may act again after so long at the soonest | null; reason, source; ok 0 or 1
-- | null; binds; aheadMs }
-- Answers { BullMQ's reply, ms until its window, 1 if there is work for it, what time it is }, or { BullMQ's reply } when it was not
-- ours any more.
local release = cjson.decode(ARGV[#ARGV - 3])
local key = Q .. release.lane .. ':' .. release.job
local held = call('HMGET', stateKey(release.agent), 'token', 'next', 'ok', 'acts')
local isOurs = held[1] == whole(release.token)
-- First of all writes, because it begins by deleting: a Redis that is full lets a script that has written go on.
local reply = bull(KEYS, ARGV)
if reply == nil then reply = false end
-- Sent or kept something as this agent: it goes on as the same one, if it goes on.
if isOurs and release.binds and call('EXISTS', key) == 1 then call('HSET', key, 'lk:agent', release.agent) end
-- Nor does it ring for what is delayed: the beats look for it.
call('ZREM', Q .. release.lane .. ':marker', '1')
if not isOurs then return { reply } end
local fields = {}
local nextAt = tonumber(held[2]) or now
if type(release.costMs) == 'number' then
  local lastAt = now - release.agoMs
  -- Known to be a little earlier: this came late. Not by more, or a clock that was set would open it early.
  if type(release.answeredAt) == 'number' then
    lastAt = math.min(lastAt, math.max(release.answeredAt, lastAt - 20))
  end
  fields = { 'last', text(lastAt), 'acts', (tonumber(held[4]) or 0) + 1 }
  -- What an operator ordered meanwhile stays, if it is later.
  if lastAt + release.costMs >= nextAt then
    nextAt = lastAt + release.costMs
    for _, each in ipairs({ 'source', 'policy', 'reason', '' }) do fields[#fields + 1] = each end
  end
end
if type(release.untilMs) == 'number' and now + release.untilMs > nextAt then
  nextAt = now + release.untilMs
  for _, each in ipairs({ 'source', release.source, 'reason', release.reason }) do fields[#fields + 1] = each end
end
if type(release.ok) == 'number' then
  fields[#fields + 1] = 'ok'
  fields[#fields + 1] = text((tonumber(held[3]) or 1) * 0.8 + release.ok * 0.2)
end
-- It opens before the next beats look ahead: whoever releases it looks after it.
if nextAt - now < release.aheadMs then
  fields[#fields + 1] = 'watcher'
  fields[#fields + 1] = release.pod
end
fields[#fields + 1] = 'next'
fields[#fields + 1] = text(nextAt)
local isWanted = free(release.agent, fields)
return { reply, text(nextAt - now), isWanted and 1 or 0, text(now) }
