-- Purpose: what is left of a join that has been decided on goes, unless its fork is open anew by now.
-- ARGV: order {id, call, join, visit, results, whole}: `visit` of the fork that was decided on, at most 2,000 `results`
--   by field; whole: the join itself goes too. KEYS: the prelude's.
-- Verdicts: APPLIED; STALE: another fork of that name is open. Cost: O(results).
local j = join_of(order.join)
if j and j.visit ~= order.visit then return {'STALE'} end
if #order.results > 0 then redis.call('HDEL', KEYS[5], unpack(order.results)) end
if order.whole then
  redis.call('HDEL', KEYS[5], order.join .. '*:call')
  redis.call('HDEL', KEYS[4], order.join, order.join .. ':body', order.join .. ':lane', order.join .. ':returned')
end
return {'APPLIED'}
