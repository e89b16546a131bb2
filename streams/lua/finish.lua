-- Purpose: a run ends before it is done: it has failed or is cancelled; the first end holds.
-- KEYS: 1 run. ARGV: 1 state, 2 error, 3 cause, 4 stage. Verdicts: APPLIED; REPEATED: it is over
--   already; GONE. Cost: O(1).
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'GONE' end
if state ~= 'gathering' and state ~= 'running' then return 'REPEATED' end
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'error', ARGV[2], 'cause', ARGV[3], 'stage', ARGV[4])
return 'APPLIED'
