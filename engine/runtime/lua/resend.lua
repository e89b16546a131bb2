-- Purpose: a message that nobody claimed in time is sent again, unless its queue is merely long.
-- ARGV: order {id, call, frame, fence, envelope, to: the same with a fresh fence}; for a lane: join, and no frame, and
--   lane if its lanes are to be others from now on, in the queue KEYS[11]; resumed: after a pause, at once.
-- KEYS: the prelude's.
-- Verdicts: APPLIED; STALE: it was claimed, nothing to do (or no place in the window: who leaves it sends a lane); WAITING: the queue is long, asked again later. Cost: O(1).
local m = order.id .. '|' .. (order.join or order.frame) .. '|' .. order.fence
if order.join then
  local j = join_of(order.join)
  if j and j.resent == order.call then return {'APPLIED'} end
  if not open_join(order.join) or left(j) <= 0 or j.active >= j.window then
    redis.call('ZREM', KEYS[8], m)
    return {'STALE'}
  end
  if redis.call('HEXISTS', KEYS[1], 'paused') == 1 then
    redis.call('ZREM', KEYS[8], m)
    return {'PAUSED'}
  end
  -- Another caller has sent them already.
  if order.resumed and redis.call('ZSCORE', KEYS[8], m) then return {'STALE'} end
  if not order.resumed and not overdue(order.lane and KEYS[11] or j.queue, j.sent_ms) then return {'WAITING'} end
  if order.lane then
    redis.call('HSET', KEYS[4], order.join .. ':lane', order.lane)
    j.queue = KEYS[11]
  end
  j.lanes, j.resent = 0, order.call
  send_lane(order.join, j)
  keep_join(order.join, j)
  if not order.resumed then count('redispatches') end
  return {'APPLIED'}
end
local state = state_of(order.frame)
if state and (state.resent == order.call or state.call == order.call) then return {'APPLIED'} end
local gone = not state or state.st ~= 'READY' or state.fence ~= order.fence
if gone or redis.call('HEXISTS', KEYS[1], 'paused') == 1 then
  redis.call('ZREM', KEYS[8], m)
  return {gone and 'STALE' or 'PAUSED'}
end
if not state.early and not overdue(KEYS[11], state.sent) then return {'WAITING'} end
count('redispatches')
local copies = (state.copies or 0) + 1
if copies == 1 then
  -- Whichever of the two is claimed: no more than the older one is known to have left the queue.
  state.first_sent = state.sent
  state.copies, state.resent, state.sent, state.queue, state.early = copies, order.call, now, KEYS[11], nil
  keep(order.frame, state)
  push(KEYS[11], order.envelope)
else
  -- A fence gets one copy and no more: whatever is left of the older ones is stale from now on.
  release(order.frame, order.fence)
  order.to.wake, order.to.since, order.to.on, order.to.delay_ms = state.wake, state.since, state.on, nil
  if state.goes_on then order.to.goes_on, order.to.timeout_at = state.goes_on, state.limit end
  stand(order.frame, order.to, state.last)
  state = state_of(order.frame)
  state.copies = copies
  keep(order.frame, state)
end
redis.call('ZADD', KEYS[8], now + order.grace_ms * math.min(64, 4 ^ copies), member(order.frame, state.fence))
return {'APPLIED'}
