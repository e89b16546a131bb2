-- Purpose: the holder of a seat keeps it, and, now and then, all keys of the run: a step that is
--   long at one chunk does not use its edges.
-- KEYS: 1 run, 2 epochs. ARGV: 1 seat, 2 epoch, 3 lease_ms, 4 ttl_ms of the run, 5 of the epochs.
-- Verdicts: 1; 0: somebody else has it, or the run is over. Cost: O(1), now and then O(edges).
local run = redis.call('HMGET', KEYS[1], 'state', 'epoch:' .. ARGV[1])
if run[1] ~= 'running' or run[2] ~= ARGV[2] then return 0 end
local clock = redis.call('TIME')
local till = clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[3]
redis.call('HSET', KEYS[1], 'lease:' .. ARGV[1], string.format('%d', till))
if redis.call('PTTL', KEYS[1]) < ARGV[4] * 0.75 then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    local edge = string.match(name, '^edge:(.+)$')
    for _, part in ipairs(edge and {'', ':c', ':t'} or {}) do
      redis.call('PEXPIRE', edge .. part, ARGV[4])
    end
  end
end
return 1
