-- Purpose: a writer takes over an edge; from here on no older writer can add to it.
-- KEYS: 1 stream, 2 control. ARGV: 1 epoch, 2 ttl_ms.
-- Verdicts: {APPLIED, name of its shared memory, head of the last entry or '', position of what was freed};
--   {FENCED}: there is a newer one; {GONE}. Cost: O(size of the last entry).
local kept = redis.call('HMGET', KEYS[2], 'writer', 'seq', 'position', 'memory')
if not kept[1] or redis.call('EXISTS', KEYS[1]) == 0 then return {'GONE'} end
if tonumber(kept[1]) > tonumber(ARGV[1]) then return {'FENCED'} end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local head, seq = '', kept[2]
if last then
  head, seq = last[2][2], string.match(last[1], '%-(%d+)$')
end
if kept[1] ~= ARGV[1] then
  -- An id of the new epoch, at once taken away again, makes the server refuse ids of older ones.
  local fence = ARGV[1] .. '-' .. seq
  redis.call('XADD', KEYS[1], 'NOMKSTREAM', fence, 'h', '')
  redis.call('XDEL', KEYS[1], fence)
  redis.call('HSET', KEYS[2], 'writer', ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {'APPLIED', kept[4], head, kept[3]}
