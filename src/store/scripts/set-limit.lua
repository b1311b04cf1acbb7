-- Sets a limit of an upstream to a size while everything runs, or ends that order, by Redis's clock, and tells every pod in the
-- same step, the journal too: nobody dies between them. An order whose time is up counts as none. It checks nothing:
-- path/limit-orders does.
-- KEYS[1] limits
-- KEYS[2] journal
-- ARGV[1] limit
-- ARGV[2] size      empty: the order ends
-- ARGV[3] who
-- ARGV[4] reason
-- ARGV[5] forMs     empty: until it is reset
-- ARGV[6] notice    the channel
-- ARGV[7] known     JSON of upstream, limit and reason
-- ARGV[8] defined   what the caller's definition says, for when no pod has said; empty: nothing
-- Answers the instant, the order before, the order now (each '' for none), and what the definitions say ('' when no pod has said).

local limits = KEYS[1]
local limit, size, who, reason, forMs, notice = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local field = 'set:' .. limit
local before = redis.call('HGET', limits, field) or ''
if before ~= '' then
  local ends = cjson.decode(before)['until']
  if type(ends) == 'number' and ends <= now then before = '' end
end

local after = ''
if size == '' then
  redis.call('HDEL', limits, field)
else
  local ends = cjson.null
  if forMs ~= '' then ends = now + tonumber(forMs) end
  after = cjson.encode({ size = tonumber(size), who = who, reason = reason, at = now, ['until'] = ends })
  redis.call('HSET', limits, field, after)
end

if before ~= after then
  redis.call('HINCRBY', limits, 'rev', 1)
  redis.call('PUBLISH', notice, '{"kind":"changed"}')
end

local lim = redis.call('HGET', limits, 'lim:' .. limit) or ''
local defined = tonumber(string.match(lim, '^%S+ (%S+)') or ARGV[8]) or cjson.null
local sizeBefore = before ~= '' and cjson.decode(before).size or defined
if after ~= '' then
  local found = { before = sizeBefore, after = tonumber(size), untilAt = cjson.decode(after)['until'], defined = defined }
  writeEntry('limit.set', KEYS[2], who, ARGV[7], found)
elseif before ~= '' then
  writeEntry('limit.reset', KEYS[2], who, ARGV[7], { before = sizeBefore, after = defined, defined = defined })
end
return { now, before, after, lim }
