-- Purpose: keeps a page of a large value, unless its execution is gone (it would stay for ever).
-- ARGV: order {id, call, field, before_start}, 2 the page; a value may come an hour before its execution. KEYS: the prelude's. Verdicts: APPLIED, MISSING. Cost: O(page).
local alive = redis.call('EXISTS', KEYS[1]) == 1
if not alive and not order.before_start then return {'MISSING'} end
redis.call('HSET', KEYS[7], order.field, ARGV[2])
if not alive then redis.call('PEXPIRE', KEYS[7], 3600000) end
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then redis.call('PEXPIRE', KEYS[7], ttl) end
return {'APPLIED'}
