-- Purpose: where frames stand, and the messages that find them there; put behind the prelude.
-- KEYS, ARGV: as the prelude's. Verdicts: none. Cost: O(1).
local function push(queue, envelope) redis.call('LPUSH', order.outbox and KEYS[15] or queue, envelope) end

-- Puts a frame where its next message or timer finds it, and sends the message.
local function stand(frame, to, last)
  local state = {fence = to.fence, last = last, call = order.call, kind = to.kind, to = to.timeout_ms,
                 wake = to.wake, on = to.on, since = to.since or now, thawed = to.thawed, goes_on = to.goes_on}
  -- Workers hold delayed messages in their memory: beyond a number of them the timer set waits instead.
  if to.delay_ms and to.st == 'READY' then
    local held = redis.call('ZCOUNT', KEYS[8], now + order.grace_ms + 50, '+inf')
    if held >= order.max_eta then to.st, to.timeout_ms = 'WAITING', nil end
  end
  state.st = to.st
  if to.st == 'READY' then
    state.due = now + (to.delay_ms or 0)
    state.sent, state.queue = now, KEYS[11]
    state.limit = to.goes_on and to.timeout_at or nil
    redis.call('ZADD', KEYS[8], state.due + order.grace_ms, member(frame, to.fence))
    push(KEYS[11], to.envelope)
  else
    state.due = to.until_ms or (to.delay_ms and now + to.delay_ms) or nil
    if state.due then redis.call('ZADD', KEYS[10], state.due, 'wake|' .. member(frame, to.fence)) end
    local limit = to.timeout_at or (to.timeout_ms and now + to.timeout_ms)
    state.limit = limit
    if limit then redis.call('ZADD', KEYS[10], limit, 'timeout|' .. member(frame, to.fence)) end
  end
  keep(frame, state)
  -- A child that was started while its parent was being paused is paused as well, whatever becomes of the worker.
  if to.on and redis.call('HEXISTS', KEYS[1], 'paused') == 1 then
    redis.call('ZADD', KEYS[10], 'NX', now + order.grace_ms, 'pausing|' .. order.id .. '||')
  end
end

-- Forgets the lease and the timers of a stand that is over.
local function release(frame, fence)
  local m = member(frame, fence)
  for _, set in ipairs({KEYS[8], KEYS[9]}) do redis.call('ZREM', set, m) end
  redis.call('ZREM', KEYS[10], 'timeout|' .. m, 'wake|' .. m)
end

-- True while the timers of the execution stand still.
local function frozen()
  local paused = fields(KEYS[1], 'paused')
  return paused and paused.freeze
end
