-- Purpose: takes a version of a flow away, unless an alias leads to it.
-- ARGV: order {call, version}: its number as a text. KEYS: 1 the versions of the flow, 2 its aliases.
-- Verdicts: APPLIED; STALE {alias}: it leads there; MISSING. Cost: O(aliases).
local order = cjson.decode(ARGV[1])
if redis.call('HEXISTS', KEYS[1], order.version) == 0 then return {'MISSING'} end
local aliases = redis.call('HGETALL', KEYS[2])
for i = 1, #aliases, 2 do
  for _, route in ipairs(cjson.decode(aliases[i + 1]).routing) do
    if string.format('%d', route[1]) == order.version then return {'STALE', aliases[i]} end
  end
end
redis.call('HDEL', KEYS[1], order.version)
return {'APPLIED'}
