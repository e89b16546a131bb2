-- Purpose: keeps a flow as its next version; numbers begin with 1 and are never given twice.
-- ARGV: order {call, version}: a JSON text without its number. KEYS: 1 the versions of the flow, field `last`: the latest number.
-- Verdicts: APPLIED {number}. Cost: O(1).
local order = cjson.decode(ARGV[1])
local last = redis.call('HGET', KEYS[1], 'last') or '0'
if redis.call('HGET', KEYS[1], 'call') == order.call then return {'APPLIED', last} end
local number = redis.call('HINCRBY', KEYS[1], 'last', 1)
redis.call('HSET', KEYS[1], number, order.version, 'call', order.call)
return {'APPLIED', tostring(number)}
