-- Purpose: a lane takes the next items of a fork; the call id names the batch it gets.
-- ARGV: order {id, call, join, worker, request, lease_ms, held_ms, version, batch, slots}: batch: as many items as it wants.
-- KEYS: the prelude's. Verdicts: APPLIED {first, end, fork's document, its event, last event id, definition, 1 after a redrive}; EMPTY: nothing left or window full; ENDING; PAUSED; FOREIGN; MISSING: join closed; STALE: the worker is at this very message. Cost: O(1).
local version = redis.call('HGET', KEYS[1], 'state_version')
if version and version ~= order.version then return {'FOREIGN'} end
local j = open_join(order.join)
if not j then return {'MISSING'} end
local key = order.join .. '*' .. order.call
local batch = state_of(key)
if not batch then
  claimed(j.queue, tonumber(string.match(order.request, '%.(%d+)$')))
  if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return {'ENDING'} end
  if redis.call('HEXISTS', KEYS[1], 'paused') == 1 then
    j.lanes = math.max(0, j.lanes - 1)
    keep_join(order.join, j)
    redis.call('ZREM', KEYS[8], order.id .. '|' .. order.join .. '|lane')
    return {'PAUSED'}
  end
  -- The same message again while its worker is at it: two batches cannot share a lease.
  local held = redis.call('HGET', KEYS[13], order.request)
  if held and redis.call('ZSCORE', KEYS[9], held) then count('duplicates') return {'STALE'} end
  j.lanes = math.max(0, j.lanes - 1)
  if left(j) <= 0 or j.active >= j.window then
    keep_join(order.join, j)
    return {'EMPTY'}
  end
  local first, stop
  if j.returned > 0 then
    first, stop = take_returned(order.join, j, j.batch or order.batch)
  else
    local fair = math.ceil((j.total - j.cursor) / (2 * order.slots))
    first = j.cursor
    stop = math.min(j.total, first + (j.batch or math.max(1, math.min(order.batch, fair))))
    j.cursor = stop
  end
  j.active = j.active + 1
  batch = {st = 'BATCH', cur = first, to = stop, fence = order.call, worker = order.worker}
  keep(key, batch)
  redis.call('ZADD', KEYS[9], now + order.lease_ms, order.id .. '|' .. key .. '|' .. order.call)
  redis.call('HSET', KEYS[13], order.request, order.id .. '|' .. key .. '|' .. order.call)
  redis.call('PEXPIRE', KEYS[13], order.held_ms)
  for _ = 1, math.min(2, math.max(0, order.slots - j.active - j.lanes)) do send_lane(order.join, j) end
  if left(j) <= 0 then redis.call('ZREM', KEYS[8], order.id .. '|' .. order.join .. '|lane') end
  keep_join(order.join, j)
end
local run = redis.call('HMGET', KEYS[1], 'events', 'definition')
return {'APPLIED', batch.cur, batch.to, redis.call('HGET', KEYS[2], j.parent), j.last,
        run[1] or '0', run[2], j.redriven and 1 or 0}
