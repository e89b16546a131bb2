-- Purpose: what an item of a batch came to, and the start of the next item's story.
-- ARGV: order {id, call, join, batch, index, request, events, next_events, exact, to}: to.st ENDED (result, failure) or a frame
--   that waits (frame, doc, READY or WAITING), or OPEN: only its first events, before it runs.
-- KEYS: the prelude's. Verdicts: APPLIED {'more' or 'end', 1 if next_events were recorded}; MOVED; STALE; ENDING. Cost: O(events).
local key = order.join .. '*' .. order.batch
local batch = state_of(key)
local j = join_of(order.join)
if not batch then
  if redis.call('HGET', KEYS[5], order.join .. '*:call') == order.call then return {'APPLIED', 'end', 0} end
  count('refused')
  return {'STALE'}
end
if batch.call == order.call then return {'APPLIED', batch.said, batch.goes_on or 0} end
if not j or j.st ~= 'OPEN' or batch.cur ~= order.index or (batch.open and order.to.st == 'OPEN') then
  redis.call('HDEL', KEYS[13], order.request)
  count('refused')
  return {'STALE'}
end
if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then
  redis.call('HDEL', KEYS[13], order.request)
  count('refused')
  return {'ENDING'}
end
local next_id = tonumber(redis.call('HGET', KEYS[1], 'events') or '0') + 1
if order.exact and order.exact ~= next_id then return {'MOVED', next_id} end
local to = order.to
batch.last = record(order.events, batch.open and batch.last or j.last)
batch.call, batch.said, batch.goes_on = order.call, 'more', 0
if to.st == 'OPEN' then
  batch.open = true
  keep(key, batch)
  return {'APPLIED', 'more', 0}
end
if to.st == 'ENDED' then
  child_ended(order.join, j, order.index, to.result, to.failure)
else
  redis.call('HSET', KEYS[2], to.frame, order.doc)
  stand(to.frame, to, batch.last)
  j.active = j.active + 1
end
batch.cur, batch.open = batch.cur + 1, false
if batch.cur >= batch.to or j.st ~= 'OPEN' or j.active > j.window then
  batch.said = 'end'
  redis.call('HDEL', KEYS[13], order.request)
  redis.call('HDEL', KEYS[3], key)
  redis.call('HSET', KEYS[5], order.join .. '*:call', order.call)
  redis.call('ZREM', KEYS[9], order.id .. '|' .. key .. '|' .. order.batch)
  j.active = j.active - 1
  give_back(order.join, j, batch.cur, batch.to)
  send_lane(order.join, j)
else
  if order.next_events then batch.last, batch.open = record(order.next_events, batch.last), true end
  batch.goes_on = order.next_events and 1 or 0
  keep(key, batch)
end
keep_join(order.join, j)
return {'APPLIED', batch.said, batch.goes_on or 0}
