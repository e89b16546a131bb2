-- Purpose: begins an execution, unless its name is taken; its first message goes out with it.
-- ARGV: order {id, call, record {field: text}, events, doc, to, timeout_ms, fires}; events: that it has started;
--   fires: the schedule that starts it, which moves on with it.
-- KEYS: the prelude's, then 16 index of all executions, 17 index of the flow's executions; for a schedule 18 it, 19 the
--   next fire times of all.
-- Verdicts: APPLIED with its status and when it began; REPEATED with the status of the execution that has the name; STALE: the schedule has moved on. Cost: O(1).
local status = redis.call('HGET', KEYS[1], 'status')
if status and redis.call('HGET', KEYS[1], 'start_call') == order.call then return {'APPLIED', status, redis.call('HGET', KEYS[1], 'started_ms')} end
if order.fires and not moved(KEYS[18], KEYS[19], order.fires) then return {'STALE'} end
if status then
  -- A caller may come to what runs already.
  if order.record.caller and redis.call('HEXISTS', KEYS[1], 'stopped_ms') == 0 then redis.call('HSET', KEYS[1], 'caller', order.record.caller) end
  return {'REPEATED', status}
end
for field, value in pairs(order.record) do redis.call('HSET', KEYS[1], field, value) end
redis.call('HSET', KEYS[1], 'status', 'Running', 'started_ms', now, 'start_call', order.call)
redis.call('ZADD', KEYS[16], now, order.id)
redis.call('ZADD', KEYS[17], now, order.id)
redis.call('HSET', KEYS[2], '', order.doc)
redis.call('PERSIST', KEYS[7])
stand('', order.to, record(order.events, 0))
begun()
if order.timeout_ms then
  redis.call('HSET', KEYS[1], 'expire_ms', now + order.timeout_ms)
  redis.call('ZADD', KEYS[10], now + order.timeout_ms, 'expire|' .. order.id .. '||')
end
return {'APPLIED', 'Running', string.format('%.0f', now)}
