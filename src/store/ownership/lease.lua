-- What the scripts about a lease share: what it says, whether it is live, and how its changes are told. It is put before each of
-- them, behind write-entry.lua, so that one file knows the fields (words/keys). All instants are epoch ms by this Redis.
local call = redis.call

local time = call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)

-- Lua would write 17 digits as 1.7637e+15.
local function whole(number) return string.format('%.0f', number) end

local function readLease(key)
  local lease, flat = {}, call('HGETALL', key)
  for i = 1, #flat, 2 do lease[flat[i]] = flat[i + 1] end
  return lease
end

local function isLive(lease) return (tonumber(lease['until']) or 0) > now end

-- Higher than every token that was ever given, whatever was lost: one that is forgotten was made of an earlier time.
local function nextToken(last, floor, least)
  return whole(math.max((tonumber(last) or 0) + 1, (tonumber(floor) or 0) + 1, least or micros))
end

-- For the answer: token, as, by, reason, since, until, live, hold, now. Empty where nobody ever owned.
local function flatten(lease)
  if not lease.token then return {} end
  local live = isLive(lease) and 1 or 0
  return { lease.token, lease.as, lease.by, lease.reason, lease.since, lease['until'], live, lease.hold, whole(now) }
end

local function namesOf(lanes)
  local names = {}
  for name in pairs(lanes) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- An entry of the journal, in the same step as what it tells.
local function tell(what, stream, who, lane, lanes, lease, more)
  local entry = {
    lane = lane, lanes = namesOf(lanes), as = lease.as, by = lease.by, reason = lease.reason,
    token = lease.token, sinceAt = tonumber(lease.since), untilAt = tonumber(lease['until']),
  }
  for name, value in pairs(more or {}) do entry[name] = value end
  writeEntry(what, stream, who, '', entry)
end

-- What pods hear at once. `jobs`: nil for none, because an empty list would be written as an object. It goes to every pod of the tag:
-- one that would be longer than this (some 150 jobs) names none, and each pod looks at the locks of its own.
local MOST_NOTICE = 16384

local function announce(kind, channel, lane, lanes, lease, jobs)
  local notice = { kind = kind, lane = lane, lanes = namesOf(lanes), as = lease.as, by = lease.by, token = lease.token, jobs = jobs }
  local text = cjson.encode(notice)
  if jobs and #text > MOST_NOTICE then
    notice.jobs, notice.isMany = nil, true
    text = cjson.encode(notice)
  end
  call('PUBLISH', channel, text)
end

-- For the metrics: each lane changed hands once more. Beside the entry, so that no change counts twice or not at all.
local function count(how, changes, lanes)
  for name in pairs(lanes) do call('HINCRBY', changes, name .. ' ' .. how, 1) end
end

-- The lanes that pods and owners made known, and those that this caller knows.
local function knownLanes(key, given)
  local lanes, flat = cjson.decode(given), call('HGETALL', key)
  for i = 1, #flat, 2 do lanes[flat[i]] = lanes[flat[i]] or flat[i + 1] end
  return lanes
end

-- Whoever sees first that a term ran out says so, once.
local function tellExpired(key, stream, changes, lane, lanes, lease)
  if not lease.token or isLive(lease) or lease.told == lease.token then return false end
  call('HSET', key, 'told', lease.token)
  lease.told = lease.token
  tell('lane.expired', stream, lease.by, lane, lanes, lease, { isHold = (lease.hold or '') ~= '' })
  count('expired', changes, lanes)
  return true
end
