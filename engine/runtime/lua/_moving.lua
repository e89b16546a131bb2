-- Purpose: how a schedule moves on from one fire time to the next; put before the verbs that do it.
-- KEYS: named by the caller. ARGV: `fires` {member, due, next, fields, skipped}, times as texts of milliseconds; no next: it fires no more.
-- Verdicts: true; false: it does not stand at `due`, somebody else has moved it. Cost: O(1).
local function moved(schedule, all, fires)
  if redis.call('HGET', schedule, 'next_ms') ~= fires.due then return false end
  for field, value in pairs(fires.fields) do redis.call('HSET', schedule, field, value) end
  if fires.skipped then redis.call('HINCRBY', schedule, 'skipped', 1) end
  if fires.next then
    redis.call('HSET', schedule, 'next_ms', fires.next)
    redis.call('ZADD', all, fires.next, fires.member)
  else
    redis.call('HDEL', schedule, 'next_ms')
    redis.call('ZREM', all, fires.member)
  end
  return true
end
