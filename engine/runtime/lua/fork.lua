-- Purpose: a claimed frame opens children: the join and its cursor are made, the first lanes sent.
-- ARGV: order {id, call, frame, fence, request, events, doc, exact, join, total, window, tolerated, tolerant,
--   lanes, body, lane, queue, batch (as written in the flow), visit, kind, of (a mark of the items), to}; `body` is the message that wakes the frame when all
--   have ended; again {cursor, returned, ranges, pages, tag}: a redrive, what is not among those given back has its result.
-- KEYS: the prelude's. Verdicts: as settle's. Cost: O(lanes), at most the live slots' number.
redis.call('HDEL', KEYS[13], order.request)
local state = state_of(order.frame)
if not state then count('refused') return {'MISSING'} end
if state.call == order.call then return {'APPLIED', state.last} end
if state.was == order.call then return {'APPLIED', state.was_last} end
if state.st ~= 'RUNNING' or state.fence ~= order.fence then count('refused') return {'STALE'} end
if redis.call('HEXISTS', KEYS[1], 'ending') == 1 then count('refused') return {'ENDING'} end
local next_id = tonumber(redis.call('HGET', KEYS[1], 'events') or '0') + 1
if order.exact and order.exact ~= next_id then return {'MOVED', next_id} end
local last = record(order.events, state.last)
worked(state.at)
release(order.frame, order.fence)
redis.call('HSET', KEYS[2], order.frame, order.doc)
stand(order.frame, order.to, last)
redis.call('HDEL', KEYS[4], order.join .. ':returned')
redis.call('HSET', KEYS[4], order.join .. ':body', order.body, order.join .. ':lane', order.lane)
local j = {st = 'OPEN', parent = order.frame, fence = order.to.fence, total = order.total, cursor = 0,
           active = 0, lanes = 0, sent = 0, done = 0, failed = 0, window = order.window, returned = 0,
           tolerated = order.tolerated, tolerant = order.tolerant, queue = order.queue, last = last,
           batch = order.batch, visit = order.visit, of = order.of, kind = order.kind, started = now}
if order.again then
  j.redriven, j.cursor, j.returned, j.pages = true, order.again.cursor, order.again.returned, order.again.pages
  j.tag = order.again.tag
  j.done = j.cursor - j.returned
  redis.call('HSET', KEYS[4], order.join .. ':returned', order.again.ranges)
end
if left(j) == 0 then fire(order.join, j) end
for _ = 1, order.lanes do send_lane(order.join, j) end
keep_join(order.join, j)
return {'APPLIED', last}
