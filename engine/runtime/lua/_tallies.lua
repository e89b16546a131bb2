-- Purpose: counters for metrics, by flow and of all flows together; put behind the prelude.
-- KEYS, ARGV: as the prelude's; the counters are fields `WHAT|LABEL` of KEYS[14]. Verdicts: none. Cost: O(1).
-- Every caller has found before that its call is not a repeated one: each thing counts once.
local MOST_TALLIES = 20000
local BOUNDS_MS = {5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 1800000}

local function flow_of() return string.match(order.id, '^[^:]*') end

-- Adds to a counter of the flow, or of those that share one: an execution is counted with the same ones all its life,
-- or what runs would not come out of what has started and what has ended.
local function tally(what, by)
  local label = redis.call('HEXISTS', KEYS[1], 'shared') == 1 and '*' or flow_of()
  redis.call('HINCRBY', KEYS[14], what .. '|' .. label, string.format('%.0f', by or 1))
end

-- An execution begins. Once there are very many counters, those of flows that are new share one.
local function begun()
  local new = redis.call('HEXISTS', KEYS[14], 'started|' .. flow_of()) == 0
  if new and redis.call('HLEN', KEYS[14]) >= MOST_TALLIES then redis.call('HSET', KEYS[1], 'shared', 1) end
  tally('started')
end

-- Adds a duration to a histogram; the label is the bucket's upper bound.
local function observe(what, ms)
  local bucket = 'inf'
  for _, bound in ipairs(BOUNDS_MS) do
    if ms <= bound then
      bucket = bound
      break
    end
  end
  redis.call('HINCRBY', KEYS[14], what .. '_le|' .. bucket, 1)
  redis.call('HINCRBY', KEYS[14], what .. '_ms|', string.format('%.0f', ms))
end

-- A worker was at a task since `at`.
local function worked(at)
  if not at then return end
  observe('task', math.max(0, now - at))
  tally('tasks')
  tally('tasks_ms', math.max(0, now - at))
end

-- A stream has closed; `told` {bytes, blocked_ms}: of all its edges.
local function streamed(told)
  tally('streams')
  tally('stream_bytes', told.bytes)
  tally('stream_blocked_ms', told.blocked_ms)
end
