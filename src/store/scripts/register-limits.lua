-- Makes known what a pod's definition says of an upstream's limits, and keeps the stricter of all live pods'. Instants are Redis's.
-- KEYS[1] limits the hash: sizes, uses, holds, what who wants
-- ARGV[1] pod
-- ARGV[2] limits JSON list of { name, kind, size, perMs, byAgent }; '[]' when the pod leaves
-- ARGV[3] closedMs how long nothing is granted when the state was not here
-- ARGV[4] channel the notices' channel
-- Answers { closed for ms or 0, JSON of { limit: { pod: size } } where the pods differ, then '<kind> <name> <perMs> <0|1>' of each limit of all pods' }.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local closed = 0
if redis.call('HSETNX', KEYS[1], 'born', now) == 1 then
  closed = tonumber(ARGV[3])
  redis.call('HSET', KEYS[1], 'closed', now + closed)
end
local own = cjson.decode(ARGV[2])
if #own == 0 then
  redis.call('HDEL', KEYS[1], 'def:' .. ARGV[1])
else
  redis.call('HSET', KEYS[1], 'def:' .. ARGV[1], cjson.encode({ at = now, limits = own }))
end

local strict, sizes, differ, stale, was = {}, {}, {}, {}, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local field, value = all[i], all[i + 1]
  if field:sub(1, 4) == 'lim:' then was[field:sub(5)] = value end
  if field:sub(1, 4) == 'def:' then
    local said = cjson.decode(value)
    local pod = field:sub(5)
    if said.at < now - 60000 then
      stale[#stale + 1] = field
    else
      for _, limit in ipairs(said.limits) do
        local name = limit.name
        sizes[name] = sizes[name] or {}
        sizes[name][pod] = limit.size
        if not strict[name] or limit.size < strict[name].size then
          if strict[name] then differ[name] = sizes[name] end
          strict[name] = limit
        elseif limit.size > strict[name].size then
          differ[name] = sizes[name]
        end
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
-- What no live pod defines any more holds nobody; the last pod to leave leaves it as it was.
if next(strict) then
  for name in pairs(was) do
    redis.call('HDEL', KEYS[1], 'lim:' .. name)
    hasChanged = true
  end
end
if hasChanged then redis.call('PUBLISH', ARGV[4], cjson.encode({ kind = 'changed' })) end
return { closed, next(differ) and cjson.encode(differ) or '{}', names }
