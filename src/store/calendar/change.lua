-- What an operator, or a service that registers its agents, orders: add, remove, mark (not before an instant, and not before its
-- window opens anyway) or clear (now).
-- KEYS[1] windows any key of the upstream, for its slot
-- ARGV[1] order JSON { what, agent, untilAt?, reason, source, meta?, heartbeatMs?, by }
-- ARGV[2] channel where pods hear that windows moved
-- The journal is told in the same step. Answers { 'unknown' }, { 'known' } (it was there before, and not silent), or { 'changed', next
-- before or '', next after or '' }.
local order = cjson.decode(ARGV[1])
local agent, agents = order.agent, U .. 'agents'
local reason = type(order.reason) == 'string' and order.reason or ''
local source = type(order.source) == 'string' and order.source or 'operator'
local isThere = call('HEXISTS', agents, agent) == 1
if order.what ~= 'add' and not isThere then return { 'unknown' } end
local before = call('HGET', stateKey(agent), 'next') or ''
local told = cjson.encode({ upstream = order.upstream, agent = agent, order = order.what, reason = reason ~= '' and reason or cjson.null })
local isActing = call('HEXISTS', stateKey(agent), 'token') == 1
if order.what == 'add' then
  call('SREM', U .. 'agents-removed', agent)
  -- Again it is a sign of life.
  local first = isThere and cjson.decode(call('HGET', agents, agent)).at or math.floor(now)
  local entry = { at = first, heard = math.floor(now), by = order.by, meta = order.meta, heartbeatMs = order.heartbeatMs }
  call('HSET', agents, agent, cjson.encode(entry))
  if order.heartbeatMs then
    call('ZADD', U .. 'agent-due', text(now + order.heartbeatMs), agent)
  else
    call('ZREM', U .. 'agent-due', agent)
  end
  -- Each alone may have been lost.
  local wasSilent = call('HDEL', stateKey(agent), 'silent') + call('ZREM', U .. 'silent', agent) > 0
  if isThere and not wasSilent then return { 'known' } end
  if not isThere then
    call('PERSIST', stateKey(agent))
    call('HSETNX', stateKey(agent), 'next', text(now))
  end
elseif order.what == 'remove' then
  call('HDEL', agents, agent)
  call('SADD', U .. 'agents-removed', agent)
  call('ZREM', U .. 'agent-due', agent)
  call('HDEL', stateKey(agent), 'silent')
elseif order.what == 'mark' then
  -- While it acts, what that costs is known when it has ended.
  if order.untilAt > (isActing and tonumber(before) or nextOf(agent)) then
    call('HSET', stateKey(agent), 'next', text(order.untilAt), 'reason', reason, 'source', source)
  end
elseif order.what == 'clear' then
  call('HSET', stateKey(agent), 'next', text(now), 'reason', reason, 'source', source)
end
if not isActing then put(agent) end
-- A window that was to open later is looked after by a pod that sleeps until then.
call('HDEL', stateKey(agent), 'watcher')
call('PUBLISH', ARGV[2], cjson.encode({ kind = 'changed', agent = agent }))
local after = order.what == 'remove' and '' or call('HGET', stateKey(agent), 'next') or ''
-- Redis keeps fractions of an instant.
local function whole(at) return at ~= '' and math.floor(tonumber(at)) or cjson.null end
writeEntry('agent.ordered', U .. 'journal', order.by, told, { beforeAt = whole(before), afterAt = whole(after) })
return { 'changed', before, after }
