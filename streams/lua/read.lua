-- Purpose: a reader takes over an edge; from here on no older reader can free anything.
-- KEYS: 1 stream, 2 control. ARGV: 1 epoch, 2 ttl_ms, 3 the shared memory that it sees, or ''.
-- Verdicts: {APPLIED, name of its shared memory, id of the last entry freed, position there}; {FENCED}; {GONE}. Cost: O(1).
local kept = redis.call('HMGET', KEYS[2], 'reader', 'id', 'position', 'memory')
if not kept[1] or redis.call('EXISTS', KEYS[1]) == 0 then return {'GONE'} end
if tonumber(kept[1]) > tonumber(ARGV[1]) then return {'FENCED'} end
redis.call('HSET', KEYS[2], 'reader', ARGV[1], 'sees', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {'APPLIED', kept[4], kept[2], kept[3]}
