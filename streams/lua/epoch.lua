-- Purpose: a number higher than all that were given before.
-- KEYS: 1 epochs. ARGV: 1 ttl_ms. Verdicts: the number. Cost: O(1).
local epoch = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return epoch
