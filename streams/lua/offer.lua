-- Purpose: a helper offers itself to a run that has no plan yet.
-- KEYS: 1 run, 2 offers. ARGV: 1 holder, 2 ttl_ms.
-- Verdicts: its ticket, from 1, the same if it asks again; 0: too late, or no such run. Cost: O(1).
local known = redis.call('HGET', KEYS[1], 'ticket:' .. ARGV[1])
if known then return tonumber(known) end
if redis.call('HGET', KEYS[1], 'state') ~= 'gathering' then return 0 end
local ticket = redis.call('HINCRBY', KEYS[1], 'tickets', 1)
redis.call('HSET', KEYS[1], 'ticket:' .. ARGV[1], ticket)
redis.call('RPUSH', KEYS[2], ticket)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return ticket
