-- Purpose: frames and batches that are cut off leave their last events; what a redrive needs of them is kept.
-- ARGV: order {id, call, cuts, joins}: at most 50 of {frame, seen, events}: seen is the call that brought
--   it where it was looked at, one that has moved since stays; a batch's frame is its key. joins: ids of
--   joins below, from which nothing is to be taken any more.
-- KEYS: the prelude's. Verdicts: APPLIED. Cost: O(cuts).
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
