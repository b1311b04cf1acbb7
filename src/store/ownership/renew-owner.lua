-- Gives a lease another term, for whoever has it by owner and token: what ran out, was released or was taken is not renewed.
-- KEYS[1] owner   the lease
-- KEYS[2] lanes   of the group
-- KEYS[3] journal
-- KEYS[4] changes how often the lanes changed hands
-- ARGV[1] lane
-- ARGV[2] as
-- ARGV[3] by
-- ARGV[4] token
-- ARGV[5] hold     who renews it
-- ARGV[6] termMs
-- ARGV[7] raised   the token it has from now on; '' for the same
-- ARGV[8] restores 1: a majority of lock servers has it so; what this one lost, or knows of an earlier owner, is put right
-- ARGV[9] isLock   1: nothing is told here
-- ARGV[10] known   JSON object lane -> park or drain
-- Answers { 'renewed', lease } or { 'lost', lease }.
local as, by, token, hold = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local lease = readLease(KEYS[1])
local isOurs = lease.token == token and lease.as == as and lease.by == by and isLive(lease)
local raised = ARGV[7] ~= '' and ARGV[7] or token
if not isOurs then
  local isAnother = lease.as ~= as or lease.by ~= by
  local known = tonumber(lease.token) or 0
  local isLater = (isLive(lease) and known > tonumber(raised)) or (known == tonumber(raised) and isAnother)
  local mayRestore = ARGV[8] == '1' and tonumber(raised) >= (tonumber(lease.last) or 0) and not isLater
  if not mayRestore then
    if ARGV[9] ~= '1' then tellExpired(KEYS[1], KEYS[3], KEYS[4], ARGV[1], knownLanes(KEYS[2], ARGV[10]), lease) end
    return { 'lost', flatten(lease) }
  end
  lease.as, lease.by, lease.hold, lease.reason, lease.ask = as, by, hold, 'restored by its holder', ''
  lease.since, lease['until'] = whole(now), '0'
  call('HSET', KEYS[1], 'as', as, 'by', by, 'hold', hold, 'reason', lease.reason, 'ask', '', 'since', lease.since)
end
local untilAt = now + tonumber(ARGV[6])
-- Somebody else of the same owner took a term beside it, and keeps that.
if lease.hold ~= hold then untilAt = math.max(untilAt, tonumber(lease['until'])) end
lease.token, lease['until'] = raised, whole(untilAt)
local last = whole(math.max(tonumber(lease.last) or 0, tonumber(raised)))
call('HSET', KEYS[1], 'token', raised, 'last', last, 'until', lease['until'])
return { 'renewed', flatten(lease) }
