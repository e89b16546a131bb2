-- Purpose: the join counters of a fork; put between the prelude and the verbs that end or open children.
-- KEYS, ARGV: as the prelude's. `join` is the children's id without their index. Verdicts: none. Cost: O(1).
local function join_of(join) return fields(KEYS[4], join) end
local function keep_join(join, j) redis.call('HSET', KEYS[4], join, cjson.encode(j)) end
-- A join from which items may be taken: the frame that opened it still waits at it. Those of an execution that was
-- stopped, or of a frame that was cut off, are kept for a redrive, which opens them anew.
local function open_join(join)
  local j = join_of(join)
  local state = j and j.st == 'OPEN' and state_of(j.parent)
  return state and state.fence == j.fence and j or nil
end
local function left(j) return j.total - j.cursor + j.returned end

-- Sends a lane if items, a place and too few lanes are left; a deadline watches: lanes may all be lost.
local function send_lane(join, j)
  if j.st ~= 'OPEN' or left(j) <= 0 or j.active >= j.window then return end
  local sends = left(j) > j.lanes and j.active + j.lanes < j.window
  redis.call('ZADD', KEYS[8], sends and 'CH' or 'NX', now + order.grace_ms, order.id .. '|' .. join .. '|lane')
  if not sends then return end
  local tag = string.format('%s.%d.%.0f', order.call, j.sent, now)
  local envelope = string.gsub(redis.call('HGET', KEYS[4], join .. ':lane'), '@TAG@', tag)
  j.sent, j.lanes, j.sent_ms = j.sent + 1, j.lanes + 1, now
  push(j.queue, envelope)
end

-- Wakes the frame that waits at the fork: all have ended, or one failure too many.
local function fire(join, j)
  local state = state_of(j.parent)
  if not state or state.fence ~= j.fence then return end
  j.st, j.stopped = 'FIRED', now
  -- The join goes once it is decided on. Its figures stay where they are few: for the forks of the flow itself.
  if j.parent == '' and j.kind == 'foreach' then
    redis.call('HSET', KEYS[1], 'map:' .. join, cjson.encode(j))
  end
  state.st, state.due, state.sent, state.queue = 'READY', now, now, KEYS[12]
  keep(j.parent, state)
  redis.call('ZREM', KEYS[8], order.id .. '|' .. join .. '|lane')
  redis.call('ZADD', KEYS[8], now + order.grace_ms, member(j.parent, j.fence))
  local envelope = string.gsub(redis.call('HGET', KEYS[4], join .. ':body'), '@TAG@', order.call)
  push(KEYS[12], envelope)
end

-- Counts a child that has ended; `failure` is nil or {error, cause}. Late children of a closed join: false.
local function child_ended(join, j, index, result, failure)
  if j.st ~= 'OPEN' then return false end
  if failure then
    j.failed = j.failed + 1
    if j.failed > j.tolerated then
      j.failure, j.fatal = failure, 1
      if j.tolerant then j.failure = {error = 'FnF.ToleranceExceeded', cause = failure.error .. ': ' .. failure.cause} end
      fire(join, j)
      return true
    end
  end
  redis.call('HSET', KEYS[5], join .. ':' .. index, result)
  j.done = j.done + 1
  if j.done == j.total then fire(join, j) end
  return true
end
