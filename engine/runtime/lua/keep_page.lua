-- Purpose: a page of the items that a redriven fork still has to do, put aside by who is about to open it.
-- ARGV: order {id, call, frame, fence, field, ranges}: `ranges` is a JSON text. KEYS: the prelude's.
-- Verdicts: APPLIED; STALE: the frame is somebody else's by now. Cost: O(page).
local state = state_of(order.frame)
if not state or state.st ~= 'RUNNING' or state.fence ~= order.fence then return {'STALE'} end
redis.call('HSET', KEYS[4], order.field, order.ranges)
return {'APPLIED'}
