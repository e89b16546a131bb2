-- Purpose: makes, changes or takes away an alias of a flow, which leads to versions that are there.
-- ARGV: order {call, name, alias, versions, from}: `alias` a JSON text, nothing: it goes; `versions`: numbers as texts;
--   `from`: the text it is made from, nothing: a new one. KEYS: 1 the versions of the flow, 2 its aliases.
-- Verdicts: APPLIED; REPEATED: the name is taken; MOVED: somebody else has changed it; MISSING {version}. Cost: O(versions).
local order = cjson.decode(ARGV[1])
local text = redis.call('HGET', KEYS[2], order.name)
if order.alias and text == order.alias then return {'APPLIED'} end
if not order.from and text then return {'REPEATED'} end
if order.from and text ~= order.from then return {'MOVED'} end
for _, version in ipairs(order.versions) do
  if redis.call('HEXISTS', KEYS[1], version) == 0 then return {'MISSING', version} end
end
if order.alias then redis.call('HSET', KEYS[2], order.name, order.alias) else redis.call('HDEL', KEYS[2], order.name) end
return {'APPLIED'}
