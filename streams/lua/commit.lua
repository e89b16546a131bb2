-- Purpose: a reader is done with all entries up to one; they are freed and the writer is woken.
-- KEYS: 1 stream, 2 control, 3 tokens.
-- ARGV: 1 reader's epoch, 2 seq, 3 its id, 4 the id after it, 5 position, 6 weight freed,
--   7 out_seq or '', 8 ttl_ms.
-- Verdicts: APPLIED; REPEATED: as far or further already; FENCED; GONE. Cost: O(entries freed).
local kept = redis.call('HMGET', KEYS[2], 'reader', 'seq', 'out')
if not kept[1] or redis.call('EXISTS', KEYS[1]) == 0 then return 'GONE' end
if kept[1] ~= ARGV[1] then return 'FENCED' end
if ARGV[7] ~= '' and tonumber(ARGV[7]) > tonumber(kept[3] or '0') then
  redis.call('HSET', KEYS[2], 'out', ARGV[7])
end
if tonumber(ARGV[2]) <= tonumber(kept[2]) then return 'REPEATED' end
redis.call('HSET', KEYS[2], 'seq', ARGV[2], 'id', ARGV[3], 'position', ARGV[5], 'freed', ARGV[6])
redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[4])
-- One token is enough: it says how much has been freed in all.
redis.call('DEL', KEYS[3])
redis.call('RPUSH', KEYS[3], ARGV[6])
for key = 1, 3 do redis.call('PEXPIRE', KEYS[key], ARGV[8]) end
return 'APPLIED'
