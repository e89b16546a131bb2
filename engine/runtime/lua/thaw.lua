-- Purpose: timers that stood still during a pause run again, for what they had left when it began.
-- ARGV: order {id, call, frames, pause}: at most 50 ids; pause: the call that stopped them, each is moved once; none:
--   the pause is over, and what was due before its end is put back. KEYS: the prelude's. Verdicts: APPLIED. Cost: O(frames).
local paused, resuming = fields(KEYS[1], 'paused'), fields(KEYS[1], 'resuming')
local moves = order.pause and paused and resuming and paused.call == order.pause

-- What began to stand when the resume had begun has lost no time.
local function move(state, m)
  local stood_since = math.min(resuming.at, math.max(paused.at, state.since or 0))
  local function later(at) return at and resuming.at + math.max(0, at - stood_since) end
  -- A message on its way would come too early: another one is sent.
  if state.st == 'READY' and state.due > stood_since then redis.call('ZREM', KEYS[8], m) end
  state.due, state.limit, state.thawed = later(state.due), later(state.limit), paused.call
end

for _, frame in ipairs(order.frames) do
  local state = state_of(frame)
  if state and state.fence and state.st ~= 'BATCH' then
    local m = member(frame, state.fence)
    local when = 'NX'
    if moves and state.thawed ~= paused.call then
      when = 'CH'
      move(state, m)
      keep(frame, state)
    end
    if state.due and state.st == 'WAITING' then redis.call('ZADD', KEYS[10], when, state.due, 'wake|' .. m) end
    if state.limit then redis.call('ZADD', KEYS[10], when, state.limit, 'timeout|' .. m) end
  end
end
return {'APPLIED'}
