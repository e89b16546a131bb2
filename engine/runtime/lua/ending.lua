-- Purpose: an execution is to be stopped or has timed out: from now on nothing of it is claimed or settled.
-- ARGV: order {id, call, ending, net_ms, timer}: a JSON text of status, error, cause; timer: its time is over.
-- KEYS: the prelude's.
-- Verdicts: APPLIED; REPEATED: it was ending already; STALE {status}: it has ended; PAUSED, EARLY: its time stands still, or runs anew; MISSING. Cost: O(1).
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return {'MISSING'} end
if redis.call('HGET', KEYS[1], 'ending_call') == order.call then return {'APPLIED'} end
if status ~= 'Running' and status ~= 'Starting' and status ~= 'Paused' then return {'STALE', status} end
if order.timer and frozen() then
  redis.call('ZREM', KEYS[10], 'expire|' .. order.id .. '||')
  return {'PAUSED'}
end
if order.timer and now < tonumber(redis.call('HGET', KEYS[1], 'expire_ms') or '0') then return {'EARLY'} end
if redis.call('HSETNX', KEYS[1], 'ending', order.ending) == 0 then return {'REPEATED'} end
redis.call('HSET', KEYS[1], 'ending_call', order.call)
redis.call('ZREM', KEYS[10], 'expire|' .. order.id .. '||')
redis.call('ZADD', KEYS[10], now + order.net_ms, 'ending|' .. order.id .. '||')
return {'APPLIED'}
