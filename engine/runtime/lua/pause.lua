-- Purpose: an execution is held: what runs ends, nothing new of it is claimed until it is resumed.
-- ARGV: order {id, call, events, net_ms, paused {freeze, parent}}; freeze: its timers stand still; parent: with its parent.
-- KEYS: the prelude's. Verdicts: APPLIED; REPEATED {1 if a resume is on its way}: it was paused before;
--   STALE {status}: it has ended, or is being stopped; MISSING. Cost: O(1).
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return {'MISSING'} end
if redis.call('HGET', KEYS[1], 'pause_call') == order.call then return {'APPLIED'} end
local over = redis.call('HEXISTS', KEYS[1], 'ending') == 1
if over or (status ~= 'Running' and status ~= 'Starting' and status ~= 'Paused') then return {'STALE', status} end
local paused = fields(KEYS[1], 'paused')
if paused then
  -- What somebody pauses for itself does not go on with its parent.
  if paused.parent and not order.paused.parent then
    paused.parent = false
    redis.call('HSET', KEYS[1], 'paused', cjson.encode(paused))
  end
  return {'REPEATED', redis.call('HEXISTS', KEYS[1], 'resuming')}
end
order.paused.call, order.paused.at = order.call, now
redis.call('HSET', KEYS[1], 'paused', cjson.encode(order.paused), 'status', 'Paused', 'pause_call', order.call)
redis.call('ZADD', KEYS[10], now + order.net_ms, 'pausing|' .. order.id .. '||')
record(order.events, tonumber(redis.call('HGET', KEYS[1], 'events')))
tally('paused')
return {'APPLIED'}
