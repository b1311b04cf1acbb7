-- The next page of dead letters, oldest first, after the one seen last: by place in the order (instant of death, then id), not by
-- rank, because letters leave the set while somebody walks it. Thousands may have died in one millisecond, so the place is
-- found by halving. Reads only. Answers id, instant, id, instant, …
-- KEYS[1] failed
-- ARGV[1] afterAt
-- ARGV[2] afterId
-- ARGV[3] untilAt
-- ARGV[4] count

local failed, afterAt, afterId = KEYS[1], ARGV[1], ARGV[2]
local untilAt, count = tonumber(ARGV[3]), tonumber(ARGV[4])

-- By bytes, as the set orders them; `<` on texts would follow the server's locale.
local function isAfter(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

local low = redis.call('ZCOUNT', failed, '-inf', '(' .. afterAt)
local high = redis.call('ZCOUNT', failed, '-inf', afterAt)
while low < high do
  local middle = math.floor((low + high) / 2)
  if isAfter(redis.call('ZRANGE', failed, middle, middle)[1], afterId) then high = middle else low = middle + 1 end
end

local page = redis.call('ZRANGE', failed, low, low + count - 1, 'WITHSCORES')
local letters = {}
for i = 1, #page, 2 do
  if tonumber(page[i + 1]) > untilAt then break end
  letters[i], letters[i + 1] = page[i], page[i + 1]
end
return letters
