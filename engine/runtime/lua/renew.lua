-- Purpose: a worker's parent process keeps the leases of the tasks its slots are at.
-- ARGV: order {call, requests, lease_ms, ttl_ms}. KEYS: 1 lease set, 2 held by the worker.
-- Verdicts: how many were renewed. Cost: O(slots).
local order = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local till = clock[1] * 1000 + math.floor(clock[2] / 1000) + order.lease_ms
local count = 0
for _, request in ipairs(order.requests) do
  local m = redis.call('HGET', KEYS[2], request)
  if m then count = count + redis.call('ZADD', KEYS[1], 'XX', 'CH', till, m) end
end
redis.call('PEXPIRE', KEYS[2], order.ttl_ms)
return count
