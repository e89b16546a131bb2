-- Purpose: what a claimed frame came to: its events, its document, and where it stands now.
-- ARGV: order {id, call, frame, fence, request, events, doc, exact, to} ; to.st READY (with its message), WAITING,
--   or ENDED (a child: with join, index, result, failure). KEYS: the prelude's.
-- Verdicts: APPLIED {last event id}; MOVED {next event id}: `exact` does not hold; STALE; ENDING; MISSING.
-- Cost: O(events).
redis.call('HDEL', KEYS[13], order.request)
local state = state_of(order.frame)
-- A task that has only begun to wait, for a report or a child, has no result that could be late.
local function refuse(verdict)
  if order.to.st ~= 'WAITING' or order.to.kind ~= 'resume' then count('refused') end
  return {verdict}
end
if not state then
  local call, last = string.match(redis.call('HGET', KEYS[5], order.frame .. ':call') or '', '(.*) (.*)')
  if call == order.call then return {'APPLIED', tonumber(last)} end
  return refuse('MISSING')
end
if state.call == order.call then return {'APPLIED', state.last} end
if state.was == order.call then return {'APPLIED', state.was_last} end
if state.st ~= 'RUNNING' or state.fence ~= order.fence then return refuse('STALE') end
if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then return refuse('ENDING') end
local next_id = tonumber(redis.call('HGET', KEYS[1], 'events') or '0') + 1
if order.exact and order.exact ~= next_id then return {'MOVED', next_id} end
local to = order.to
if to.st == 'ENDED' then
  local j = join_of(to.join)
  if not j or j.st ~= 'OPEN' then return refuse('STALE') end
  local last = record(order.events, state.last)
  worked(state.at)
  -- A frame that failed stays as it was: a redrive goes on from there.
  if to.failure then redis.call('HSET', KEYS[2], order.frame, order.doc) else redis.call('HDEL', KEYS[2], order.frame) end
  redis.call('HDEL', KEYS[3], order.frame)
  release(order.frame, order.fence)
  redis.call('HSET', KEYS[5], order.frame .. ':call', order.call .. ' ' .. last)
  j.active = j.active - 1
  child_ended(to.join, j, to.index, to.result, to.failure)
  send_lane(to.join, j)
  keep_join(to.join, j)
  return {'APPLIED', last}
end
local last = record(order.events, state.last)
worked(state.at)
release(order.frame, order.fence)
if state.kind == 'unserved' then to.since = state.since end
-- How often an attempt was put off; its time limit runs on.
if to.goes_on then to.goes_on, to.timeout_at = (state.goes_on or 0) + 1, state.limit end
if to.keeps_timeout then to.timeout_at, to.since, to.thawed = state.limit, state.since, state.thawed end
redis.call('HSET', KEYS[2], order.frame, order.doc)
stand(order.frame, to, last)
return {'APPLIED', last}
