-- Purpose: forgets the counters of a flow that is gone, unless executions of it still run: they are to be counted out.
-- ARGV: order {call, flow}. KEYS: 1 the counters, fields `WHAT|FLOW`.
-- Verdicts: APPLIED; WAITING: some run. Cost: O(counters).
local order = cjson.decode(ARGV[1])
local own, open = {}, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local what, flow = string.match(all[i], '^(.*)|([^|]*)$')
  if flow == order.flow then
    table.insert(own, all[i])
    if what == 'started' or what == 'redriven' then open = open + all[i + 1] end
    if string.sub(what, 1, 6) == 'ended|' then open = open - all[i + 1] end
  end
end
if open > 0 then return {'WAITING'} end
for _, field in ipairs(own) do redis.call('HDEL', KEYS[1], field) end
return {'APPLIED'}
