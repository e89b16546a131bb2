-- Purpose: an execution that has failed, timed out or was stopped goes on: its root frame gets a message with the news.
-- ARGV: order {id, call, events, definition, skips, notify, to, wake, timeout_ms}; notify: who waits for it from now on.
-- KEYS: the prelude's. Verdicts: APPLIED; REPEATED {status}: it goes on already, or has succeeded;
--   MISSING: nothing of it is left. Cost: O(1).
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return {'MISSING'} end
if redis.call('HGET', KEYS[1], 'redrive_call') == order.call then return {'APPLIED'} end
if redis.call('HEXISTS', KEYS[1], 'stopped_ms') == 0 or status == 'Succeeded' then
  if order.notify then redis.call('HSET', KEYS[1], 'notify', order.notify) end
  return {'REPEATED', status}
end
if redis.call('HEXISTS', KEYS[2], '') == 0 then return {'MISSING'} end
local gone = {'stopped_ms', 'end_call', 'ending_call', 'error', 'cause', 'skips', 'expire_ms'}
redis.call('HDEL', KEYS[1], unpack(gone))
-- What goes on with another definition is not of the version any more that it was started with.
if redis.call('HGET', KEYS[1], 'definition') ~= order.definition then redis.call('HDEL', KEYS[1], 'flow_version', 'qualifier') end
redis.call('HSET', KEYS[1], 'status', 'Running', 'redrive_call', order.call, 'definition', order.definition)
if order.skips then redis.call('HSET', KEYS[1], 'skips', order.skips) end
if order.notify then redis.call('HSET', KEYS[1], 'notify', order.notify) end
redis.call('HINCRBY', KEYS[1], 'redrives', 1)
tally('redriven')
for i = 1, 7 do redis.call('PERSIST', KEYS[i]) end
redis.call('ZREM', KEYS[10], 'notify|' .. order.id .. '||')
local last = record(order.events, tonumber(redis.call('HGET', KEYS[1], 'events')))
order.to.wake = order.wake
stand('', order.to, last)
if order.timeout_ms then
  redis.call('HSET', KEYS[1], 'expire_ms', now + order.timeout_ms)
  redis.call('ZADD', KEYS[10], now + order.timeout_ms, 'expire|' .. order.id .. '||')
end
return {'APPLIED'}
