-- Purpose: takes a few due entries of a timer set; others leave them alone for a while.
-- ARGV: order {call, limit, hold_ms}; for leases also gap_ms, calm_ms: where nobody has looked for gap_ms, nothing is
--   due before calm_ms later. KEYS: 1 the set, 2 when they are due again (leases only).
-- Verdicts: the members. Cost: O(limit).
local order = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if order.calm_ms then
  -- This server was away, or all workers were: those who live must be able to renew their leases first.
  local calm = redis.call('GET', KEYS[2]) or string.format('%.0f', now + order.calm_ms)
  redis.call('SET', KEYS[2], calm, 'PX', order.gap_ms)
  if now < tonumber(calm) then return {} end
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, order.limit)
for _, m in ipairs(due) do redis.call('ZADD', KEYS[1], now + order.hold_ms, m) end
return due
