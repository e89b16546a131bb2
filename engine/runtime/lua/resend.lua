-- Purpose: a message that nobody claimed in time is sent again, unless its queue is merely long.
-- ARGV: order {id, call, frame, fence, envelope}; for a lane: join, and no frame, and
--   lane if its lanes are to be others from now on, in the queue KEYS[11]. KEYS: the prelude's.
-- Verdicts: APPLIED; STALE: it was claimed, nothing to do (or no place in the window: who leaves it sends a lane); WAITING: the queue is long, asked again later. Cost: O(1).
local m = order.id .. '|' .. (order.join or order.frame) .. '|' .. order.fence
if order.join then
  local j = join_of(order.join)
  if j and j.resent == order.call then return {'APPLIED'} end
  if not j or j.st ~= 'OPEN' or left(j) <= 0 or j.active >= j.window then
    redis.call('ZREM', KEYS[8], m)
    return {'STALE'}
  end
  if redis.call('LLEN', order.lane and KEYS[11] or j.queue) > 0 then return {'WAITING'} end
  if order.lane then
    redis.call('HSET', KEYS[4], order.join .. ':lane', order.lane)
    j.queue = KEYS[11]
  end
  j.lanes, j.resent = 0, order.call
  send_lane(order.join, j)
  keep_join(order.join, j)
  return {'APPLIED'}
end
local state = state_of(order.frame)
if state and state.resent == order.call then return {'APPLIED'} end
if not state or state.st ~= 'READY' or state.fence ~= order.fence then
  redis.call('ZREM', KEYS[8], m)
  return {'STALE'}
end
if redis.call('LLEN', KEYS[11]) > 0 then return {'WAITING'} end
state.copies, state.resent = (state.copies or 0) + 1, order.call
keep(order.frame, state)
redis.call('ZADD', KEYS[8], now + order.grace_ms * 4 ^ state.copies, m)
redis.call('LPUSH', KEYS[11], order.envelope)
redis.call('HINCRBY', KEYS[1], 'redispatches', 1)
return {'APPLIED'}
