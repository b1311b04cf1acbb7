-- Writes one entry of the journal in the form that store/journal-stream reads: put before each script whose change it tells of, so
-- that nobody dies between the two. `known` is JSON of what the caller knew, kept as text, for Lua would round its numbers;
-- `found` are the fields that the script found out. About 100,000 batches are kept: see MAX_BATCHES.
local function writeEntry(what, stream, who, known, found)
  local fields = { '"what":"' .. what .. '","age":0' }
  if #known > 2 then fields[2] = string.sub(known, 2, -2) end
  for name, value in pairs(found) do
    local text = type(value) == 'number' and string.format('%.0f', value) or cjson.encode(value)
    fields[#fields + 1] = '"' .. name .. '":' .. text
  end
  redis.call('XADD', stream, 'MAXLEN', '~', 100000, '*', 'who', who, 'batch', '[{' .. table.concat(fields, ',') .. '}]')
end
