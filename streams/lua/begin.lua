-- Purpose: begins a run, so that helpers may offer themselves and edges be made.
-- KEYS: 1 run. ARGV: 1 ttl_ms, 2 a name for its shared memory.
-- Verdicts: APPLIED; REPEATED: it is there, over or not. Cost: O(1).
local fresh = redis.call('HSETNX', KEYS[1], 'state', 'gathering')
if fresh == 1 then redis.call('HSET', KEYS[1], 'memory', ARGV[2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return fresh == 1 and 'APPLIED' or 'REPEATED'
