-- Purpose: makes, changes or takes away a schedule.
-- ARGV: order {call, member, from, fields, next, gone}: `from`: the revision it is made from, nothing: a new one; `next`: its
--   next fire time (a text of milliseconds), '': none, nothing: as it is. KEYS: 1 the schedule, 2 the names of all, 3 their next fire times.
-- Verdicts: APPLIED; REPEATED: the name is taken; MISSING; MOVED: somebody else has changed it. Cost: O(log schedules).
local order = cjson.decode(ARGV[1])
local revision = redis.call('HGET', KEYS[1], 'revision')
if redis.call('HGET', KEYS[1], 'call') == order.call then return {'APPLIED'} end
if not order.from and revision then return {'REPEATED'} end
if order.from and not revision then return {'MISSING'} end
if order.from and revision ~= order.from then return {'MOVED'} end
if order.gone then
  redis.call('DEL', KEYS[1])
  for i = 2, 3 do redis.call('ZREM', KEYS[i], order.member) end
  return {'APPLIED'}
end
for field, value in pairs(order.fields) do redis.call('HSET', KEYS[1], field, value) end
redis.call('HSET', KEYS[1], 'call', order.call)
redis.call('HINCRBY', KEYS[1], 'revision', 1)
redis.call('ZADD', KEYS[2], 0, order.member)
if order.next == '' then
  redis.call('HDEL', KEYS[1], 'next_ms')
  redis.call('ZREM', KEYS[3], order.member)
elseif order.next then
  redis.call('HSET', KEYS[1], 'next_ms', order.next)
  redis.call('ZADD', KEYS[3], order.next, order.member)
end
return {'APPLIED'}
