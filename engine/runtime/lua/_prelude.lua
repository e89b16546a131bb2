-- Purpose: what every verb on one execution shares; it is put in front of each of them.
-- KEYS: 1 record 2 frames 3 states 4 joins 5 results 6 history 7 payloads 8 dispatch 9 lease 10 timers
--       11 queue of the next message 12 the engine's own queue 13 held by the worker 14 figures of all executions
--       15 outbox: messages for another broker than this Redis, where `order.outbox` says so
-- ARGV: 1 the order, a JSON object; `order.call` names the call. Verdicts: the verb's. Cost: O(1).
local order = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function member(frame, fence) return order.id .. '|' .. frame .. '|' .. fence end
local function fields(key, field)
  local text = redis.call('HGET', key, field)
  return text and cjson.decode(text) or nil
end
local function state_of(frame) return fields(KEYS[3], frame) end
local function keep(frame, state) redis.call('HSET', KEYS[3], frame, cjson.encode(state)) end

-- Counts what an execution has been through, for its own report and for all of them together. A call that is
-- repeated, its reply was lost, counts once: the latest calls that were counted are remembered.
local function count(what)
  local calls = redis.call('HGET', KEYS[1], 'counted') or ''
  if redis.call('EXISTS', KEYS[1]) == 0 or string.find(calls, order.call, 1, true) then return end
  redis.call('HSET', KEYS[1], 'counted', string.sub(order.call .. ' ' .. calls, 1, 264))
  redis.call('HINCRBY', KEYS[1], what, 1)
  redis.call('HINCRBY', KEYS[14], what, 1)
end

-- A message that was sent at `sent` has left its queue: those sent before are not in it any more.
local function claimed(queue, sent)
  local field = 'claimed:' .. queue
  if not sent then return end
  local latest = math.max(sent, tonumber(redis.call('HGET', KEYS[14], field) or '0'))
  redis.call('HSET', KEYS[14], field, string.format('%.0f', latest))
end

-- True when a message that nobody has claimed may be lost: those sent after it have left the queue, or all have.
-- How many wait at another broker is in `order.waiting`; nobody knows: some.
local function overdue(queue, sent)
  local waiting = order.outbox and (order.waiting or 1) + redis.call('LLEN', KEYS[15]) or redis.call('LLEN', queue)
  if waiting == 0 then return true end
  return (sent or now) < tonumber(redis.call('HGET', KEYS[14], 'claimed:' .. queue) or '0')
end
