-- Purpose: what every verb on one execution shares; it is put in front of each of them.
-- KEYS: 1 record 2 frames 3 states 4 joins 5 results 6 history 7 payloads 8 dispatch 9 lease 10 timers
--       11 queue of the next message 12 the engine's own queue 13 held by the worker
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

-- Puts a frame where its next message or timer finds it, and sends the message.
local function stand(frame, to, last)
  local state = {fence = to.fence, last = last, call = order.call, kind = to.kind, to = to.timeout_ms,
                 wake = to.wake, on = to.on, since = to.since or now}
  -- Workers hold delayed messages in their memory: beyond a number of them the timer set waits instead.
  if to.delay_ms and to.st == 'READY' then
    local held = redis.call('ZCOUNT', KEYS[8], now + order.grace_ms + 50, '+inf')
    if held >= order.max_eta then to.st, to.timeout_ms = 'WAITING', nil end
  end
  state.st = to.st
  if to.st == 'READY' then
    state.due = now + (to.delay_ms or 0)
    redis.call('ZADD', KEYS[8], state.due + order.grace_ms, member(frame, to.fence))
    redis.call('LPUSH', KEYS[11], to.envelope)
  else
    state.due = to.until_ms or (to.delay_ms and now + to.delay_ms) or nil
    if state.due then redis.call('ZADD', KEYS[10], state.due, 'wake|' .. member(frame, to.fence)) end
    local limit = to.timeout_at or (to.timeout_ms and now + to.timeout_ms)
    if limit then redis.call('ZADD', KEYS[10], limit, 'timeout|' .. member(frame, to.fence)) end
  end
  keep(frame, state)
end

-- Forgets the lease and the timers of a stand that is over; answers when its time-out would have been.
local function release(frame, fence)
  local m = member(frame, fence)
  local limit = redis.call('ZSCORE', KEYS[10], 'timeout|' .. m)
  for _, set in ipairs({KEYS[8], KEYS[9]}) do redis.call('ZREM', set, m) end
  redis.call('ZREM', KEYS[10], 'timeout|' .. m, 'wake|' .. m)
  return limit
end
