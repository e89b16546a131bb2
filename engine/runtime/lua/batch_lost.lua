-- Purpose: the worker of a batch died: the item it was at goes on as a frame of its own, the others go back.
-- ARGV: order {id, call, join, batch, taken: it is alive, its item is skipped}; where an item is open also {index, frame, doc, to}. KEYS: the prelude's.
-- Verdicts: APPLIED; MOVED: it is at another item than the caller saw; STALE: it ended, or is being cut off. Cost: O(1).
local key = order.join .. '*' .. order.batch
local batch = state_of(key)
local j = join_of(order.join)
if j and j.lost == order.call then return {'APPLIED'} end
local open_at = batch and batch.open and batch.cur or nil
-- Whoever cuts the join off still has to close the item that is open.
local over = not j or j.st ~= 'OPEN' or redis.call('HEXISTS', KEYS[1], 'ending') == 1
if batch and not over and open_at ~= order.index then return {'MOVED'} end
redis.call('ZREM', KEYS[9], order.id .. '|' .. key .. '|' .. order.batch)
if not batch or over then return {'STALE'} end
redis.call('HDEL', KEYS[3], key)
local from = batch.cur
if order.frame then
  redis.call('HSET', KEYS[2], order.frame, order.doc)
  stand(order.frame, order.to, batch.last)
  from = from + 1
else
  j.active = j.active - 1
end
give_back(order.join, j, from, batch.to)
if not order.taken then count('handovers') end
j.lost = order.call
send_lane(order.join, j)
keep_join(order.join, j)
return {'APPLIED'}
