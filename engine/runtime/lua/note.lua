-- Purpose: writes down what happens to a claimed frame while it is worked on.
-- ARGV: order {id, call, frame, fence, events}. KEYS: the prelude's.
-- Verdicts: APPLIED {last event id}; STALE: the frame is somebody else's by now; ENDING. Cost: O(events).
local state = state_of(order.frame)
if not state or state.st ~= 'RUNNING' or state.fence ~= order.fence then return {'STALE'} end
if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return {'ENDING'} end
if state.noted ~= order.call then
  state.last = record(order.events, state.last)
  state.noted = order.call
  keep(order.frame, state)
end
return {'APPLIED', state.last}
