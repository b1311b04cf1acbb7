-- Makes known what a pod's definition says of an upstream's limits, and keeps the stricter of all live pods'. One driver grants:
-- that of the pod that was there first, for as long as a live pod has chosen it, because two would each grant the whole limit.
-- Instants are Redis's. The hash of the limits has a bucket per lane and instant, so all of it is never read here: of 16 pods each
-- beat took Redis 0.71 ms with 2,000 buckets and 15.9 with 20,000, and takes 0.10 and 0.15 (0.08 without any).
-- KEYS[1] limits the hash: sizes, uses, holds, what who wants
-- KEYS[2] definitions the hash: what each pod says, what of it was told, which names hold
-- ARGV[1] pod
-- ARGV[2] driver
-- ARGV[3] limits JSON list of { name, kind, size, perMs, byAgent }; '[]' when the pod leaves
-- ARGV[4] closedMs how long nothing is granted by scripts when their state was not here
-- ARGV[5] channel the notices' channel
-- ARGV[6] known `born` as this pod saw it last, '' for never
-- Answers { closed for ms or 0, JSON of { limit: { pod: size or null } } where the pods begin to differ, which is told to one
-- pod alone and again only when one more size comes in (of 'driver' the sizes are names), '<kind> <name> <perMs> <0|1>' of each
-- limit of all pods, the driver that grants, the revision, held for ms or 0, `born`, and why it is closed, told to one pod alone: 'first'
-- where neither a pod that runs nor what pods left here knows of any use, 'driver', 'gone', 'run', or '' }.
local hash, definitions, pod, driver = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local own = cjson.decode(ARGV[3])
if #own == 0 then
  redis.call('HDEL', definitions, 'def:' .. pod)
else
  redis.call('HSET', definitions, 'def:' .. pod, cjson.encode({ at = now, driver = driver, limits = own }))
end

local strict, sizes, pods, stale, chosen = {}, { driver = {} }, {}, {}, {}
local told, was, wasGranting = {}, {}, redis.call('HGET', hash, 'driver')
local all = redis.call('HGETALL', definitions)
for i = 1, #all, 2 do
  local field, value = all[i], all[i + 1]
  if field == 'drift' then told = cjson.decode(value) end
  if field == 'names' then was = cjson.decode(value) end
  if field:sub(1, 4) == 'def:' then
    local said, who = cjson.decode(value), field:sub(5)
    if said.at < now - 60000 then
      stale[#stale + 1] = field
    else
      pods[#pods + 1] = who
      sizes.driver[who] = said.driver
      chosen[said.driver] = true
      for _, limit in ipairs(said.limits) do
        local name = limit.name
        sizes[name] = sizes[name] or {}
        sizes[name][who] = limit.size
        if not strict[name] or limit.size < strict[name].size then strict[name] = limit end
      end
    end
  end
end
if #stale > 0 then redis.call('HDEL', definitions, unpack(stale)) end

-- Who grants. Neither knows what the other let through: nothing is granted until that counts no more, a minute at most, and by our
-- scripts for as long as if their state were gone.
local hasChanged = false
local base = hash:sub(1, -7)
local function countsUntil(driver)
  local last, longest = 0, 0
  for name, limit in pairs(strict) do
    longest = math.max(longest, limit.perMs)
    if driver == 'scripts' then last = math.max(last, tonumber(redis.call('ZRANGE', base .. 'limit:' .. name, -1, -1, 'WITHSCORES')[2] or 0)) end
  end
  if driver == 'bottleneck' then last = tonumber(redis.call('HGET', base .. 'bottleneck:tickets_settings', 'nextRequest') or 0) + longest end
  return math.min(last, now + 60000)
end
local grants = wasGranting
if next(chosen) and not chosen[wasGranting or ''] then grants = chosen[driver] and driver or next(chosen) end
if grants and grants ~= wasGranting then
  redis.call('HSET', hash, 'driver', grants)
  hasChanged = true
  if wasGranting then redis.call('HSET', hash, 'was', wasGranting) end
  if grants == 'bottleneck' then redis.call('HDEL', hash, 'born', 'run') end
  local untilNow = math.max(tonumber(redis.call('HGET', hash, 'closed') or 0), countsUntil(wasGranting))
  if untilNow > now then redis.call('HSET', hash, 'closed', string.format('%.0f', untilNow)) end
end
local closed, why, born = 0, '', redis.call('HGET', hash, 'born')
if grants == 'scripts' and driver == 'scripts' then
  -- Another run of Redis may have begun from an older state (RDB, a replica that lagged), where what was granted last is missing.
  -- With an AOF it is all there, and closing it as well costs 10 s at the most: nothing tells the two apart. A user that may not
  -- ask INFO is left with what `born` tells.
  local info = redis.pcall('INFO', 'server')
  local run = type(info) == 'string' and info:match('run_id:(%x+)') or ''
  local before = redis.call('HGET', hash, 'run')
  local wasClosed = tonumber(redis.call('HGET', hash, 'closed') or 0)
  if not born then
    local isKnown = ARGV[6] ~= '' or redis.call('HEXISTS', definitions, 'names') == 1
    why = redis.call('HGET', hash, 'was') == 'bottleneck' and 'driver' or isKnown and 'gone' or 'first'
    born = string.format('%.0f', now)
    redis.call('HSET', hash, 'born', born)
    if why == 'first' then redis.call('HSET', hash, 'naive', 1) end
  elseif before and before ~= run then
    why = 'run'
  end
  if why ~= '' then
    closed = tonumber(ARGV[4])
    redis.call('HSET', hash, 'closed', math.max(wasClosed, now + closed))
  elseif ARGV[6] ~= '' and ARGV[6] ~= born and redis.call('HDEL', hash, 'naive') == 1 then
    -- A pod that knew of nothing took it for a beginning, and closed it; this one knows better.
    why, closed = 'gone', math.max(0, wasClosed - now)
  end
  if before ~= run then redis.call('HSET', hash, 'run', run) end
end

-- What no live pod defines any more holds nobody; the last pod to leave leaves it as it was.
local names, answer = {}, {}
for name, limit in pairs(strict) do
  local text = string.format('%s %.0f %.0f %d', limit.kind, limit.size, limit.perMs, limit.byAgent and 1 or 0)
  if redis.call('HGET', hash, 'lim:' .. name) ~= text then
    redis.call('HSET', hash, 'lim:' .. name, text)
    hasChanged = true
  end
  names[#names + 1] = name
  answer[#answer + 1] = string.format('%s %s %.0f %d', limit.kind, name, limit.perMs, limit.byAgent and 1 or 0)
end
if #names > 0 then
  for _, name in ipairs(was) do
    if not strict[name] then hasChanged = redis.call('HDEL', hash, 'lim:' .. name) == 1 or hasChanged end
  end
  redis.call('HSET', definitions, 'names', cjson.encode(names))
end

-- Where they differ, and which of it was not told: a deploy's next pod, and one that leaves, bring no news.
local drift, news = {}, {}
for name, byPod in pairs(sizes) do
  local kinds, count, isNews = {}, 0, false
  for _, who in ipairs(pods) do
    local size = byPod[who] or cjson.null
    byPod[who] = size
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
if next(drift) then redis.call('HSET', definitions, 'drift', cjson.encode(drift)) else redis.call('HDEL', definitions, 'drift') end

-- An ask is sent again when its connection comes back: after 10 minutes none is. Some of them at a time, one part after the other.
local part = redis.call('HSCAN', hash, redis.call('HGET', definitions, 'swept') or '0', 'MATCH', 'ask:*', 'COUNT', 100)
redis.call('HSET', definitions, 'swept', part[1])
for i = 1, #part[2], 2 do
  if tonumber(part[2][i + 1]:match('(%S+)$')) < now - 600000 then redis.call('HDEL', hash, part[2][i]) end
end
local revision = redis.call('HINCRBY', hash, 'rev', hasChanged and 1 or 0)
if hasChanged then redis.call('PUBLISH', ARGV[5], '{"kind":"changed"}') end
local held = math.max(0, tonumber(redis.call('HGET', hash, 'hold') or 0) - now)
return { closed, next(news) and cjson.encode(news) or '{}', answer, grants or '', revision, held, born or '', why }
