-- Purpose: the end of an execution: its status, its output or error, and a life span for all of its keys.
-- ARGV: order {id, call, fence, request, events, exact, end {field: text}, status, doc, ttl_ms, net_ms}; ttl_ms: unless the record
--   has another for the status; fence:
--   the root frame's claim, or '' when the execution is being stopped; doc: where it failed, for a redrive. KEYS: the prelude's.
-- Verdicts: APPLIED {last event id}; MOVED; STALE; ENDING; MISSING. Cost: O(events).
if order.request then redis.call('HDEL', KEYS[13], order.request) end
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return {'MISSING'} end
if redis.call('HGET', KEYS[1], 'end_call') == order.call then
  return {'APPLIED', tonumber(redis.call('HGET', KEYS[1], 'events'))}
end
if redis.call('HEXISTS', KEYS[1], 'stopped_ms') == 1 then
  if order.fence ~= '' then count('refused') end
  return {'STALE'}
end
local state = state_of('') or {last = redis.call('HGET', KEYS[1], 'events') or 0}
local ending = redis.call('HEXISTS', KEYS[1], 'ending') == 1
-- Who was at a stop for so long that the execution goes on again by now ends nothing.
if order.fence == '' and not ending then return {'STALE'} end
if order.fence ~= '' then
  if ending or state.st ~= 'RUNNING' or state.fence ~= order.fence then count('refused') end
  if state.st ~= 'RUNNING' or state.fence ~= order.fence then return {'STALE'} end
  if ending then return {'ENDING'} end
end
local next_id = tonumber(redis.call('HGET', KEYS[1], 'events') or '0') + 1
if order.exact and order.exact ~= next_id then return {'MOVED', next_id} end
local last = record(order.events, tonumber(state.last) or 0)
worked(order.fence ~= '' and state.at)
if state.fence then release('', state.fence) end
redis.call('ZREM', KEYS[10], 'expire|' .. order.id .. '||', 'ending|' .. order.id .. '||')
for field, value in pairs(order['end']) do redis.call('HSET', KEYS[1], field, value) end
redis.call('HSET', KEYS[1], 'status', order.status, 'stopped_ms', now, 'end_call', order.call)
if redis.call('HDEL', KEYS[1], 'paused') == 1 then tally('paused', -1) end
redis.call('HDEL', KEYS[1], 'ending', 'resuming')
tally('ended|' .. order.status)
redis.call('ZREM', KEYS[10], 'pausing|' .. order.id .. '||', 'resuming|' .. order.id .. '||')
if redis.call('HEXISTS', KEYS[1], 'turns') == 1 then history_due() end
if redis.call('HEXISTS', KEYS[1], 'notify') == 1 then
  redis.call('ZADD', KEYS[10], now + order.net_ms, 'notify|' .. order.id .. '||')
end
redis.call('DEL', KEYS[3])
if order.status == 'Succeeded' then redis.call('DEL', KEYS[2], KEYS[4], KEYS[5]) end
if order.doc then redis.call('HSET', KEYS[2], '', order.doc) end
local kept = fields(KEYS[1], 'retention') or {}
for i = 1, 7 do redis.call('PEXPIRE', KEYS[i], kept[order.status] or order.ttl_ms) end
return {'APPLIED', last}
