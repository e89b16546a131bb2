-- Purpose: a fact about a run that all who take part rely on; the first to tell it settles it.
-- KEYS: 1 run. ARGV: 1 name, 2 value. Verdicts: the value that holds; GONE: the run is not on.
-- Cost: O(1).
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return {'GONE'} end
redis.call('HSETNX', KEYS[1], 'fact:' .. ARGV[1], ARGV[2])
return {'APPLIED', redis.call('HGET', KEYS[1], 'fact:' .. ARGV[1])}
