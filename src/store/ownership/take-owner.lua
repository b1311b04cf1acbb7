-- Takes the lanes of a group for an owner: grants a free or expired lease, renews the term of the one who has it, refuses another,
-- or displaces that one by force. Whoever gets it gets a token higher than all before; what is refused writes nothing.
-- KEYS[1] owner   the lease
-- KEYS[2] lanes   of the group
-- KEYS[3] journal
-- KEYS[4] changes how often the lanes changed hands
-- KEYS[5] born    on a lock server: since when it has its data
-- ARGV[1] lane      the one that was named
-- ARGV[2] as
-- ARGV[3] by
-- ARGV[4] reason
-- ARGV[5] termMs
-- ARGV[6] hold      who renews it; '' for a term that ends by itself
-- ARGV[7] ask       this call, by which it may be undone
-- ARGV[8] isForced  1: whoever has it is displaced
-- ARGV[9] floor     the highest token the caller knows; 0
-- ARGV[10] token    what a majority of lock servers decided, and no lower; '' where this Redis decides
-- ARGV[11] abstainMs a lock server younger than that does not vote; '' where this is none, and what happens is told here
-- ARGV[12] known    JSON object lane -> park or drain, of the lanes the caller knows
-- ARGV[13] channel  where pods hear of it
-- ARGV[14] upstreamPrefix
-- ARGV[15] lanesPrefix
-- ARGV[16] queuesPrefix
-- Answers { 'granted', 1 when the owner was the same, lease, the lease it ended by force or {}, lanes, how many attempts were
-- stopped, age of a lock server's data in ms or -1 }, { 'owned', lease } or { 'abstains', for how many ms }.
local lane, as, by, reason, termMs = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local isLock = ARGV[11] ~= ''
local ageMs = -1
if isLock then
  local ok, info = pcall(call, 'INFO', 'server')
  local run = ok and type(info) == 'string' and info:match('run_id:(%x+)') or ''
  local born = call('HMGET', KEYS[5], 'at', 'run')
  -- Another run: its file may lack the last second.
  if not born[1] or born[2] ~= run then
    call('HSET', KEYS[5], 'at', whole(now), 'run', run)
    born[1] = now
  end
  ageMs = now - tonumber(born[1])
  if ageMs < tonumber(ARGV[11]) then return { 'abstains', tonumber(ARGV[11]) - ageMs } end
end

local lease = readLease(KEYS[1])
local wasLive = isLive(lease)
local isSame = wasLive and lease.as == as and lease.by == by
if wasLive and not isSame and ARGV[8] ~= '1' then return { 'owned', flatten(lease) } end

local lanes = knownLanes(KEYS[2], ARGV[12])
if not isLock then tellExpired(KEYS[1], KEYS[3], KEYS[4], lane, lanes, lease) end
local prior = wasLive and not isSame and flatten(lease) or {}
local displaced = lease
local least = tonumber(ARGV[10])
local token = lease.token
if not isSame then
  token = nextToken(math.max(tonumber(lease.last) or 0, tonumber(lease.token) or 0), ARGV[9], least)
elseif least and least > tonumber(token) then
  token = whole(least)
end
local taken = {
  token = token, as = as, by = by, reason = reason, hold = ARGV[6], ask = isSame and lease.ask or ARGV[7],
  since = isSame and lease.since or whole(now), ['until'] = whole(now + termMs),
}
-- A vote counts as given once a majority agrees, and its token is written back (renew-owner.lua).
if not isLock then call('HSET', KEYS[1], 'last', whole(math.max(tonumber(lease.last) or 0, tonumber(token)))) end
for field, value in pairs(taken) do call('HSET', KEYS[1], field, value) end

local stopped = {}
for name, becomes in pairs(lanes) do
  call('HSETNX', KEYS[2], name, becomes)
  if not isSame and not isLock and becomes == 'park' then setAside(name, taken, stopped) end
end
if not isLock then
  local from = cjson.null
  if prior[1] then
    from = displaced.as .. ' of ' .. displaced.by
    tell('lane.displaced', KEYS[3], by, lane, lanes, displaced, { to = as .. ' of ' .. by, why = reason, jobs = #stopped })
  end
  tell('lane.taken', KEYS[3], by, lane, lanes, taken, { isSame = isSame, isForced = prior[1] ~= nil, from = from })
  -- A new term of the same owner is no change.
  if not isSame then count(prior[1] and 'forced' or 'taken', KEYS[4], lanes) end
  announce('taken', ARGV[13], lane, lanes, taken, #stopped > 0 and stopped or nil)
end
return { 'granted', isSame and 1 or 0, flatten(taken), prior, namesOf(lanes), #stopped, ageMs }
