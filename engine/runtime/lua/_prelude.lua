-- Purpose: what every verb on one execution shares; it is put in front of each of them.
-- KEYS: 1 record 2 frames 3 states 4 joins 5 results 6 history 7 payloads 8 dispatch 9 lease 10 timers
--       11 queue of the next message 12 the engine's own queue 13 held by the worker 14 figures of all executions
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

-- Appends events {type, step, frame, cause, detail}; cause '' means: the event before. Answers the last id.
local function record(events, last)
  local id = tonumber(redis.call('HGET', KEYS[1], 'events') or '0')
  local at = string.format('%.0f', now)
  for _, e in ipairs(events) do
    id = id + 1
    local cause = e[4] == '' and last or e[4]
    redis.call('XADD', KEYS[6], id .. '-0', 'y', e[1], 's', e[2], 'f', e[3], 'c', cause, 't', at, 'd', e[5])
    last = id
  end
  redis.call('HSET', KEYS[1], 'events', id)
  return last
end

-- Counts what an execution has been through, for its own report and for all of them together.
local function count(what)
  if redis.call('EXISTS', KEYS[1]) == 0 then return end
  redis.call('HINCRBY', KEYS[1], what, 1)
  redis.call('HINCRBY', KEYS[14], what, 1)
end

-- A message that was sent at `sent` has left its queue: those sent before are not in it any more.
local function claimed(queue, sent)
  local field = 'claimed:' .. queue
  if sent and sent > tonumber(redis.call('HGET', KEYS[14], field) or '0') then
    redis.call('HSET', KEYS[14], field, string.format('%.0f', sent))
  end
end

-- True when a message that nobody has claimed may be lost: those sent after it have left the queue, or all have.
local function overdue(queue, sent)
  if redis.call('LLEN', queue) == 0 then return true end
  return (sent or now) < tonumber(redis.call('HGET', KEYS[14], 'claimed:' .. queue) or '0')
end
