-- Purpose: the worker of a batch died: its items go back, the one that was running counts a loss.
-- ARGV: order {id, call, join, batch}. KEYS: the prelude's. Verdicts: APPLIED; STALE: it ended. Cost: O(1).
local key = order.join .. '*' .. order.batch
local batch = state_of(key)
redis.call('ZREM', KEYS[9], order.id .. '|' .. key .. '|' .. order.batch)
if not batch then return {'STALE'} end
redis.call('HDEL', KEYS[3], key)
local j = join_of(order.join)
if not j or j.st ~= 'OPEN' then return {'STALE'} end
local ranges = cjson.decode(redis.call('HGET', KEYS[4], order.join .. ':returned') or '[]')
local from = batch.cur
if batch.open then
  if from + 1 < batch.to then table.insert(ranges, {from + 1, batch.to, 0}) end
  table.insert(ranges, {from, from + 1, (batch.losses or 0) + 1})
else
  table.insert(ranges, {from, batch.to, batch.losses or 0})
end
j.returned = j.returned + batch.to - from
j.active = j.active - 1
redis.call('HSET', KEYS[4], order.join .. ':returned', cjson.encode(ranges))
redis.call('HINCRBY', KEYS[1], 'handovers', 1)
send_lane(order.join, j)
keep_join(order.join, j)
return {'APPLIED'}
