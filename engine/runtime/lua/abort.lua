-- Purpose: frames and batches that are cut off leave their last events; what a redrive needs of them is kept.
-- ARGV: order {id, call, cuts, joins}: at most 50 of {frame, seen, events}: seen is the call that brought
--   it where it was looked at, one that has moved since stays; a batch's frame is its key. joins: ids of
--   joins below, from which nothing is to be taken any more. Who does it: ending, the call that ends the execution, or by
--   and fence, the claimed frame above: who has lost that cuts nothing off, it may be open anew after a redrive.
-- KEYS: the prelude's. Verdicts: APPLIED; STALE. Cost: O(cuts).
if order.ending and redis.call('HGET', KEYS[1], 'ending_call') ~= order.ending then return {'STALE'} end
if order.by then
  local above = state_of(order.by)
  if not above or above.st ~= 'RUNNING' or above.fence ~= order.fence then return {'STALE'} end
end
for _, cut in ipairs(order.cuts or {}) do
  local state = state_of(cut.frame)
  if state and (state.call or '') == cut.seen then
    record(cut.events, state.last or 0)
    release(cut.frame, state.fence)
    redis.call('HDEL', KEYS[3], cut.frame)
    local join = state.st == 'BATCH' and string.match(cut.frame, '^(.*)%*')
    local j = join and join_of(join)
    if j then
      give_back(join, j, state.cur, state.to)
      keep_join(join, j)
    end
  end
end
for _, join in ipairs(order.joins or {}) do
  local j = join_of(join)
  if j and j.st == 'OPEN' then
    j.st = 'CUT'
    keep_join(join, j)
  end
end
return {'APPLIED'}
