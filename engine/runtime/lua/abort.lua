-- Purpose: frames and batches that are cut off leave their last events and are forgotten.
-- ARGV: order {id, call, cuts}: at most 50 of {frame, seen, events}: seen is the call that brought
--   it where it was looked at, one that has moved since stays; a batch's frame is its key.
-- KEYS: the prelude's. Verdicts: APPLIED. Cost: O(cuts).
for _, cut in ipairs(order.cuts) do
  local state = state_of(cut.frame)
  if state and (state.call or '') == cut.seen then
    record(cut.events, state.last or 0)
    release(cut.frame, state.fence)
    redis.call('HDEL', KEYS[2], cut.frame)
    redis.call('HDEL', KEYS[3], cut.frame)
  end
end
return {'APPLIED'}
