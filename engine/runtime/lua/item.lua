-- Purpose: what an item of a batch came to, and the start of the next item's story.
-- ARGV: order {id, call, join, batch, index, request, events, next_events, exact, to}: to.st ENDED (result, failure with its doc) or a frame
--   that waits (frame, doc, READY or WAITING), or OPEN: only its first events, before it runs.
-- KEYS: the prelude's. Verdicts: APPLIED {'more' or 'end', 1 if next_events were recorded}; MOVED; STALE; ENDING. Cost: O(events).
local key = order.join .. '*' .. order.batch
local batch = state_of(key)
-- An item that is refused before it has run has no result that could be late.
local function refuse(verdict)
  if order.to.st ~= 'OPEN' then count('refused') end
  redis.call('HDEL', KEYS[13], order.request)
  return {verdict}
end
local j, to = join_of(order.join), order.to
-- The calls that ended the latest batches may be repeated.
local ended = redis.call('HGET', KEYS[5], order.join .. '*:call') or ''
if not batch and string.find(ended, order.call, 1, true) then return {'APPLIED', 'end', 0} end
if not batch then return refuse('STALE') end
if batch.call == order.call then return {'APPLIED', batch.said, batch.goes_on or 0} end
if not j or j.st ~= 'OPEN' or batch.cur ~= order.index or (batch.open and order.to.st == 'OPEN') then
  return refuse('STALE')
end
if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return refuse('ENDING') end
local next_id = tonumber(redis.call('HGET', KEYS[1], 'events') or '0') + 1
if order.exact and order.exact ~= next_id then return {'MOVED', next_id} end
batch.last = record(order.events, batch.open and batch.last or j.last)
batch.call, batch.said, batch.goes_on = order.call, 'more', 0
if to.st == 'OPEN' then
  batch.open, batch.at = true, now
  keep(key, batch)
  return {'APPLIED', 'more', 0}
end
worked(batch.open and batch.at)
if to.st == 'ENDED' then
  child_ended(order.join, j, order.index, to.result, to.failure)
  if to.failure then redis.call('HSET', KEYS[2], order.join .. '.' .. order.index, order.doc) end
else
  redis.call('HSET', KEYS[2], to.frame, order.doc)
  stand(to.frame, to, batch.last)
  j.active = j.active + 1
end
batch.cur, batch.open = batch.cur + 1, false
local paused = redis.call('HEXISTS', KEYS[1], 'paused') == 1
if batch.cur >= batch.to or j.st ~= 'OPEN' or j.active > j.window or paused then
  batch.said = 'end'
  redis.call('HDEL', KEYS[13], order.request)
  redis.call('HDEL', KEYS[3], key)
  redis.call('HSET', KEYS[5], order.join .. '*:call', string.sub(order.call .. ' ' .. ended, 1, 264))
  redis.call('ZREM', KEYS[9], order.id .. '|' .. key .. '|' .. order.batch)
  j.active = j.active - 1
  give_back(order.join, j, batch.cur, batch.to)
  send_lane(order.join, j)
else
  if order.next_events then
    batch.last, batch.open, batch.at, batch.goes_on = record(order.next_events, batch.last), true, now, 1
  end
  keep(key, batch)
end
keep_join(order.join, j)
return {'APPLIED', batch.said, batch.goes_on or 0}
