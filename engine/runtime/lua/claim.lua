-- Purpose: a worker takes the frame that a message points to; nobody else can until the lease ends.
-- ARGV: order {id, call, frame, fence, step, attempt, worker, request, lease_ms, held_ms, version}. KEYS: the prelude's.
-- Verdicts: APPLIED {document, state, last event id, definition, ms since it stands there}; STALE: taken or gone on;
--   EARLY {ms}: not due yet; ENDING: being stopped; PAUSED; MISSING: no such frame;
--   FOREIGN: its state is of a version that this worker does not know. Cost: O(1).
local version = redis.call('HGET', KEYS[1], 'state_version')
if version and version ~= order.version then return {'FOREIGN'} end
local state = state_of(order.frame)
if not state then count('duplicates') return {'MISSING'} end
local again = state.st == 'RUNNING' and state.call == order.call
if not again then
  if state.st ~= 'READY' or state.fence ~= order.fence then count('duplicates') return {'STALE'} end
  if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return {'ENDING'} end
  if redis.call('HEXISTS', KEYS[1], 'paused') == 1 then
    redis.call('ZREM', KEYS[8], member(order.frame, order.fence))
    return {'PAUSED'}
  end
  if state.due and now < state.due then
    -- Its message is used up, unless the same worker asks once more at once: there will be another.
    state.early = true
    keep(order.frame, state)
    redis.call('ZADD', KEYS[8], 'XX', state.due + 100, member(order.frame, order.fence))
    return {'EARLY', state.due - now}
  end
  local m = member(order.frame, order.fence)
  -- The call that brought the frame here may still be repeated.
  state.was, state.was_last = state.call, state.last
  state.st, state.call, state.worker = 'RUNNING', order.call, order.worker
  if state.kind == 'task' then
    state.at = now
    -- One that was put off was started before.
    if not state.goes_on then
      observe('wait', math.max(0, now - (state.due or now)))
      if order.attempt > 1 then tally('retries') end
      local detail = cjson.encode({attempt = order.attempt, worker = order.worker})
      state.last = record({{'TaskStarted', order.step, order.frame, '', detail}}, state.last)
    end
  end
  -- A start that is repeated since its worker died (resume) has its time anew.
  if state.to and (state.kind == 'task' or state.kind == 'resume') then
    state.limit = state.goes_on and state.limit or now + state.to
    redis.call('ZADD', KEYS[10], state.limit, 'timeout|' .. m)
  end
  keep(order.frame, state)
  claimed(state.queue or KEYS[12], state.first_sent or state.sent)
  redis.call('ZREM', KEYS[8], m)
  redis.call('ZADD', KEYS[9], now + order.lease_ms, m)
  redis.call('HSET', KEYS[13], order.request, m)
  redis.call('PEXPIRE', KEYS[13], order.held_ms)
end
local run = redis.call('HMGET', KEYS[1], 'events', 'definition')
return {'APPLIED', redis.call('HGET', KEYS[2], order.frame), cjson.encode(state), run[1] or '0', run[2], now - (state.since or now)}
