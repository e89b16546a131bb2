-- Purpose: a paused execution goes on, in two calls: `resuming` says so, `events` ends the pause once its timers run.
-- ARGV: order {id, call, net_ms} with resuming {note}, or with events and pause, the call that it ends. KEYS: the prelude's.
-- Verdicts: APPLIED; REPEATED: it is not paused (any more), or being stopped; MISSING. Cost: O(1).
if redis.call('HEXISTS', KEYS[1], 'status') == 0 then return {'MISSING'} end
if redis.call('HGET', KEYS[1], 'resume_call') == order.call then return {'APPLIED'} end
local paused = fields(KEYS[1], 'paused')
if not paused or redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return {'REPEATED'} end
local net = 'resuming|' .. order.id .. '||'
if order.resuming then
  order.resuming.at = now
  redis.call('HSETNX', KEYS[1], 'resuming', cjson.encode(order.resuming))
  redis.call('ZADD', KEYS[10], 'NX', now + order.net_ms, net)
  return {'APPLIED'}
end
if order.pause ~= paused.call then return {'REPEATED'} end
local resuming = fields(KEYS[1], 'resuming')
local expires = tonumber(redis.call('HGET', KEYS[1], 'expire_ms') or '')
if paused.freeze and resuming and expires then
  expires = resuming.at + math.max(0, expires - paused.at)
  redis.call('HSET', KEYS[1], 'expire_ms', expires)
  redis.call('ZADD', KEYS[10], expires, 'expire|' .. order.id .. '||')
end
redis.call('HDEL', KEYS[1], 'paused', 'resuming')
redis.call('HSET', KEYS[1], 'status', 'Running', 'resume_call', order.call)
record(order.events, tonumber(redis.call('HGET', KEYS[1], 'events')))
tally('paused', -1)
return {'APPLIED'}
