-- Purpose: a process takes a seat of a run; nobody else can until its lease ends.
-- KEYS: 1 run, 2 epochs. ARGV: 1 seat, 2 holder, 3 lease_ms, 4 ttl_ms of the epochs.
-- Verdicts: the epoch, the same if the holder asks again; 0: taken, finished, or the run is over.
-- Cost: O(1).
local seat = ARGV[1]
local run = redis.call('HMGET', KEYS[1], 'state', 'seats', 'outcome:' .. seat, 'lease:' .. seat, 'epoch:' .. seat, 'holder:' .. seat)
if run[1] ~= 'running' or tonumber(seat) >= tonumber(run[2]) or run[3] then return 0 end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local held = run[5] and tonumber(run[4]) > now
if held and run[6] ~= ARGV[2] then return 0 end
local epoch = run[5]
if not held then
  epoch = redis.call('INCR', KEYS[2])
  if run[5] then redis.call('HINCRBY', KEYS[1], 'takeovers:' .. seat, 1) end
end
redis.call('HSET', KEYS[1], 'epoch:' .. seat, epoch, 'holder:' .. seat, ARGV[2], 'lease:' .. seat, string.format('%d', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return tonumber(epoch)
