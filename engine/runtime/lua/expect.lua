-- Purpose: a claimed frame is about to start a child execution: whoever cuts the frame off stops it.
-- ARGV: order {id, call, frame, fence, on}: the child's id. KEYS: the prelude's.
-- Verdicts: APPLIED; STALE: the frame is somebody else's by now; ENDING. Cost: O(1).
local state = state_of(order.frame)
if not state or state.st ~= 'RUNNING' or state.fence ~= order.fence then return {'STALE'} end
if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return {'ENDING'} end
state.on = order.on
keep(order.frame, state)
return {'APPLIED'}
