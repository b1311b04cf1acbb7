-- Makes known what a pod's definition says of an upstream's limits, and keeps the stricter of all live pods'. Instants are Redis's.
-- KEYS[1] limits the hash: sizes, uses, holds, what who wants
-- ARGV[1] pod
-- ARGV[2] limits JSON list of { name, kind, size, perMs, byAgent }; '[]' when the pod leaves
-- ARGV[3] closedMs how long nothing is granted when the state was not here; '' when it is kept elsewhere
-- ARGV[4] channel the notices' channel
-- Answers { closed for ms or 0, JSON of { limit: { pod: size or null } } where the pods begin to differ, which is told to one
-- pod alone and again only when one more size comes in, then '<kind> <name> <perMs> <0|1>' of each limit of all pods' }.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local closed = 0
if ARGV[3] ~= '' then
  -- Another run of Redis may have begun from an older state (RDB, a replica that lagged), where what was granted last is missing.
  -- With an AOF it is all there, and closing it as well costs 10 s at the most: nothing tells the two apart. A user that may not
  -- ask INFO is left with what `born` tells.
  local info = redis.pcall('INFO', 'server')
  local run = type(info) == 'string' and info:match('run_id:(%x+)') or ''
  local before = redis.call('HGET', KEYS[1], 'run')
  if redis.call('HSETNX', KEYS[1], 'born', now) == 1 or (before and before ~= run) then
    closed = tonumber(ARGV[3])
    local untilNow = tonumber(redis.call('HGET', KEYS[1], 'closed') or 0)
    redis.call('HSET', KEYS[1], 'closed', math.max(untilNow, now + closed))
  end
  if before ~= run then redis.call('HSET', KEYS[1], 'run', run) end
end
local own = cjson.decode(ARGV[2])
if #own == 0 then
  redis.call('HDEL', KEYS[1], 'def:' .. ARGV[1])
else
  redis.call('HSET', KEYS[1], 'def:' .. ARGV[1], cjson.encode({ at = now, limits = own }))
end

local strict, sizes, pods, stale, was = {}, {}, {}, {}, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local field, value = all[i], all[i + 1]
  if field:sub(1, 4) == 'lim:' then was[field:sub(5)] = value end
  -- An ask is sent again when its connection comes back: after 10 minutes none is.
  if field:sub(1, 4) == 'ask:' and tonumber(value:match('(%S+)$')) < now - 600000 then stale[#stale + 1] = field end
  if field:sub(1, 4) == 'def:' then
    local said = cjson.decode(value)
    local pod = field:sub(5)
    if said.at < now - 60000 then
      stale[#stale + 1] = field
    else
      pods[#pods + 1] = pod
      for _, limit in ipairs(said.limits) do
        local name = limit.name
        sizes[name] = sizes[name] or {}
        sizes[name][pod] = limit.size
        if not strict[name] or limit.size < strict[name].size then strict[name] = limit end
      end
    end
  end
end
if #stale > 0 then redis.call('HDEL', KEYS[1], unpack(stale)) end
local hasChanged = false
local names = {}
for name, limit in pairs(strict) do
  local text = string.format('%s %.0f %.0f %d', limit.kind, limit.size, limit.perMs, limit.byAgent and 1 or 0)
  if was[name] ~= text then
    redis.call('HSET', KEYS[1], 'lim:' .. name, text)
    hasChanged = true
  end
  was[name] = nil
  names[#names + 1] = string.format('%s %s %.0f %d', limit.kind, name, limit.perMs, limit.byAgent and 1 or 0)
end
-- Where they differ, and which of it was not told: a deploy's next pod, and one that leaves, bring no news.
local told = cjson.decode(redis.call('HGET', KEYS[1], 'drift') or '{}')
local drift, news = {}, {}
for name, byPod in pairs(sizes) do
  local kinds, count, isNews = {}, 0, false
  for _, pod in ipairs(pods) do
    local size = byPod[pod] or cjson.null
    byPod[pod] = size
    if not kinds[tostring(size)] then
      kinds[tostring(size)] = 1
      count = count + 1
      isNews = isNews or not (told[name] and told[name][tostring(size)])
    end
  end
  if count > 1 then
    drift[name] = kinds
    if isNews then news[name] = byPod end
  end
end
if next(drift) then redis.call('HSET', KEYS[1], 'drift', cjson.encode(drift)) else redis.call('HDEL', KEYS[1], 'drift') end
-- What no live pod defines any more holds nobody; the last pod to leave leaves it as it was.
if next(strict) then
  for name in pairs(was) do
    redis.call('HDEL', KEYS[1], 'lim:' .. name)
    hasChanged = true
  end
end
if hasChanged then redis.call('PUBLISH', ARGV[4], cjson.encode({ kind = 'changed' })) end
return { closed, next(news) and cjson.encode(news) or '{}', names }
