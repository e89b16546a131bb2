-- Purpose: something happened to a frame that waits (or runs): a timer, a report, a time-out, a lost worker.
-- ARGV: order {id, call, frame, fence, from {state: true}, wake, lost, to}; `wake` tells the next claim what it was.
-- KEYS: the prelude's. Verdicts: APPLIED {last event id}; STALE: it is not there any more, or not so; ENDING;
--   REPEATED: it was woken before. Cost: O(1).
local state = state_of(order.frame)
if not state then return {'MISSING'} end
if state.call == order.call then return {'APPLIED', state.last} end
if state.was == order.call then return {'APPLIED', state.was_last} end
if state.fence ~= order.fence then return {'STALE'} end
if not order.from[state.st] then return {state.wake and 'REPEATED' or 'STALE'} end
if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return {'ENDING'} end
release(order.frame, order.fence)
order.to.wake = order.wake
if state.kind == 'unserved' then order.to.since = state.since end
if order.lost then count('handovers') end
stand(order.frame, order.to, state.last)
return {'APPLIED', state.last}
