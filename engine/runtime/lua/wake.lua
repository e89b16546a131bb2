-- Purpose: something happened to a frame that waits (or runs): a timer, a report, a time-out, a lost worker.
-- ARGV: order {id, call, frame, fence, from {state: true}, wake, lost, timer, resumed, to}; timer: wake or timeout; resumed: a pause is over; `wake` tells the next claim what it was.
-- KEYS: the prelude's. Verdicts: APPLIED {last event id}; STALE: it is not there any more, or not so; ENDING;
--   REPEATED: it was woken before; PAUSED, EARLY: its timer stands still, or runs anew. Cost: O(1).
local state = state_of(order.frame)
if not state then return {'MISSING'} end
if state.call == order.call then return {'APPLIED', state.last} end
if state.was == order.call then return {'APPLIED', state.was_last} end
if state.fence ~= order.fence then return {'STALE'} end
if not order.from[state.st] then return {state.wake and 'REPEATED' or 'STALE'} end
if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return {'ENDING'} end
if order.timer then
  if frozen() then
    redis.call('ZREM', KEYS[10], order.timer .. '|' .. member(order.frame, order.fence))
    return {'PAUSED'}
  end
  -- It was due when it was taken, and a pause has moved it since.
  local due = order.timer == 'wake' and state.due or state.limit
  if due and now < due then return {'EARLY'} end
end
release(order.frame, order.fence)
-- Until the news is decided on, the child that it waited for is its own: it is stopped with it.
order.to.wake, order.to.on = order.wake, state.on
if state.kind == 'unserved' and not order.resumed then order.to.since = state.since end
if state.goes_on and state.st ~= 'RUNNING' then order.to.goes_on, order.to.timeout_at = state.goes_on, state.limit end
if order.lost then count('handovers') end
stand(order.frame, order.to, state.last)
return {'APPLIED', state.last}
