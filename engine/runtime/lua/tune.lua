-- Purpose: another window, or another number of tolerated failures, for a fork that is open.
-- ARGV: order {id, call, join, window, tolerated, lanes, error}: what is not there stays; `lanes`: so many may be sent at
--   once; `error`: of the failure where there are more failures than that already. KEYS: the prelude's.
-- Verdicts: APPLIED; MISSING: no fork of that name is open. Cost: O(lanes), at most the live slots' number.
local known = join_of(order.join)
if known and known.tuned == order.call then return {'APPLIED'} end
local j = open_join(order.join)
if not j or redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return {'MISSING'} end
j.tuned = order.call
j.window = order.window or j.window
if order.tolerated then j.tolerated, j.tolerant = order.tolerated, true end
if j.failed > j.tolerated then
  local cause = string.format('%d items have failed; %d are tolerated by now', j.failed, j.tolerated)
  j.failure = {error = order.error, cause = cause}
  fire(order.join, j)
elseif redis.call('HEXISTS', KEYS[1], 'paused') == 0 then
  for _ = 1, order.lanes do send_lane(order.join, j) end
end
keep_join(order.join, j)
return {'APPLIED'}
