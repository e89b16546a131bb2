-- Purpose: publishes the plan of a run; helpers that wait are told.
-- KEYS: 1 run, 2 offers, 3 calls. ARGV: 1 plan, 2 seats, 3 ms to claim a seat within, 4 ttl_ms.
-- Verdicts: {APPLIED, plan}; {REPEATED, the plan that was first}; {GONE}: the run is over.
-- Cost: O(seats + tickets).
local run = redis.call('HMGET', KEYS[1], 'state', 'plan', 'tickets')
if run[2] then return {'REPEATED', run[2]} end
if run[1] ~= 'gathering' then return {'GONE'} end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], 'state', 'running', 'plan', ARGV[1], 'seats', ARGV[2], 'opened_ms', string.format('%d', now))
for seat = 0, tonumber(ARGV[2]) - 1 do
  redis.call('HSET', KEYS[1], 'lease:' .. seat, string.format('%d', now + ARGV[3]))
end
for ticket = 1, tonumber(run[3] or '0') do redis.call('RPUSH', KEYS[3], ticket) end
redis.call('DEL', KEYS[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return {'APPLIED', ARGV[1]}
