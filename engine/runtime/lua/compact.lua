-- Purpose: events of turns that a history does not keep go, and leave counters; a few hundred in one call.
-- ARGV: order {id, call, page}: at most so many events. KEYS: the prelude's.
-- Verdicts: APPLIED: there may be more; EMPTY: nothing is to go by now, and nobody needs to look; MISSING. Cost: O(page).
local due = 'history|' .. order.id .. '||'
local turns = fields(KEYS[1], 'turns')
local kept = tonumber(redis.call('HGET', KEYS[1], 'kept_turns') or '0')
if not turns or turns.n <= 2 * kept then
  redis.call('ZREM', KEYS[10], due)
  return {redis.call('EXISTS', KEYS[1]) == 1 and 'EMPTY' or 'MISSING'}
end
local from, till = string.format('%.0f-0', turns.middle), string.format('(%.0f-0', turns.last[1])
local entries = redis.call('XRANGE', KEYS[6], from, till, 'COUNT', order.page)
local ids, types = {}, {}
for i, entry in ipairs(entries) do
  ids[i] = entry[1]
  local kind = entry[2][2]
  types[kind] = (types[kind] or 0) + 1
end
if #ids > 0 then redis.call('XDEL', KEYS[6], unpack(ids)) end
for kind, number in pairs(types) do redis.call('HINCRBY', KEYS[1], 'dropped:' .. kind, number) end
redis.call('HSET', KEYS[1], 'dropped_turns', string.format('%.0f', turns.n - 2 * kept))
if #ids == order.page then return {'APPLIED'} end
redis.call('ZREM', KEYS[10], due)
return {'EMPTY'}
