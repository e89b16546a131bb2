-- Purpose: makes an edge, so that its ends may write and read.
-- KEYS: 1 stream, 2 control, 3 tokens, 4 the run it belongs to (or 1 again: none).
-- ARGV: 1 ttl_ms, 2 a name for its shared memory, if it has no run.
-- Verdicts: APPLIED; REPEATED: it is there; GONE: its run is over or was never begun. Cost: O(1).
local run = KEYS[4] ~= KEYS[1]
if run then
  local state = redis.call('HGET', KEYS[4], 'state')
  if state ~= 'gathering' and state ~= 'running' then return 'GONE' end
  redis.call('HSET', KEYS[4], 'edge:' .. KEYS[1], '')
end
if redis.call('EXISTS', KEYS[1]) == 1 then return 'REPEATED' end
local memory = run and redis.call('HGET', KEYS[4], 'memory') or ARGV[2]
-- A stream that was made and emptied stays; writers then only add to one that is there.
redis.call('XADD', KEYS[1], '0-1', 'h', '')
redis.call('XDEL', KEYS[1], '0-1')
redis.call('HSET', KEYS[2], 'writer', 0, 'reader', 0, 'seq', 0, 'freed', 0, 'id', '0-1', 'position', '0 0 0 0 0 0', 'memory', memory)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 'APPLIED'
