-- Purpose: which seats of a run have nobody: their lease has ended, or nobody has come in time.
-- KEYS: 1 run. ARGV: none. Verdicts: their numbers; none unless it runs. Cost: O(seats).
local run = redis.call('HMGET', KEYS[1], 'state', 'seats')
if run[1] ~= 'running' then return {} end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lost = {}
for seat = 0, tonumber(run[2]) - 1 do
  local held = redis.call('HMGET', KEYS[1], 'lease:' .. seat, 'outcome:' .. seat)
  if not held[2] and tonumber(held[1]) <= now then lost[#lost + 1] = seat end
end
return lost
