-- Purpose: takes a few due entries of a timer set; others leave them alone for a while.
-- ARGV: order {call, limit, hold_ms}. KEYS: 1 the set. Verdicts: the members. Cost: O(limit).
local order = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, order.limit)
for _, m in ipairs(due) do redis.call('ZADD', KEYS[1], now + order.hold_ms, m) end
return due
