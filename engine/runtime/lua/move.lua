-- Purpose: a schedule moves on to its next fire time without a start.
-- ARGV: order {call, fires}. KEYS: 1 the schedule, 2 the next fire times of all.
-- Verdicts: APPLIED; STALE: it does not stand there any more. Cost: O(1).
local order = cjson.decode(ARGV[1])
return {moved(KEYS[1], KEYS[2], order.fires) and 'APPLIED' or 'STALE'}
