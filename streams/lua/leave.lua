-- Purpose: a seat has done its part; with the last of them the run is done.
-- KEYS: 1 run. ARGV: 1 seat, 2 epoch, 3 outcome.
-- Verdicts: 1, also when it has left before; 0: somebody else has the seat, or the run is over.
-- Cost: O(seats).
local run = redis.call('HMGET', KEYS[1], 'state', 'seats', 'epoch:' .. ARGV[1], 'outcome:' .. ARGV[1])
if run[3] ~= ARGV[2] then return 0 end
if run[4] then return 1 end
if run[1] ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'outcome:' .. ARGV[1], ARGV[3])
for seat = 0, tonumber(run[2]) - 1 do
  if redis.call('HEXISTS', KEYS[1], 'outcome:' .. seat) == 0 then return 1 end
end
redis.call('HSET', KEYS[1], 'state', 'done')
return 1
