-- Purpose: begins an execution, unless its name is taken; its first message goes out with it.
-- ARGV: order {id, call, record {field: text}, events, doc, to, timeout_ms}; events: that it has started.
-- KEYS: the prelude's, then 16 index of all executions, 17 index of the flow's executions.
-- Verdicts: APPLIED; REPEATED with the status of the execution that has the name. Cost: O(1).
local status = redis.call('HGET', KEYS[1], 'status')
if status then
  local mine = redis.call('HGET', KEYS[1], 'start_call') == order.call
  return {mine and 'APPLIED' or 'REPEATED', status}
end
for field, value in pairs(order.record) do redis.call('HSET', KEYS[1], field, value) end
redis.call('HSET', KEYS[1], 'status', 'Running', 'started_ms', now, 'start_call', order.call)
redis.call('ZADD', KEYS[16], now, order.id)
redis.call('ZADD', KEYS[17], now, order.id)
redis.call('HSET', KEYS[2], '', order.doc)
redis.call('PERSIST', KEYS[7])
stand('', order.to, record(order.events, 0))
if order.timeout_ms then
  redis.call('HSET', KEYS[1], 'expire_ms', now + order.timeout_ms)
  redis.call('ZADD', KEYS[10], now + order.timeout_ms, 'expire|' .. order.id .. '||')
end
return {'APPLIED', 'Running'}
