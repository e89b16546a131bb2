-- Purpose: a page of a long history moves out of the stream, compressed; nobody sees a moment without it.
-- ARGV: order {id, call, begun, page}: `begun`: the start that the caller saw; 2 the page's text. KEYS: the prelude's.
-- Verdicts: APPLIED; STALE: it was moved before, or another execution has the name. Cost: O(page).
local run = redis.call('HMGET', KEYS[1], 'start_call', 'archived')
local last = (order.page + 1) * HISTORY_PAGE
if run[1] ~= order.begun or tonumber(run[2] or '0') ~= last - HISTORY_PAGE then return {'STALE'} end
redis.call('HSET', KEYS[7], 'history.' .. order.page, ARGV[2])
redis.call('HSET', KEYS[1], 'archived', string.format('%.0f', last))
redis.call('XTRIM', KEYS[6], 'MINID', '=', string.format('%.0f-0', last + 1))
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then redis.call('PEXPIRE', KEYS[7], ttl) end
return {'APPLIED'}
