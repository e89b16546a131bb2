-- Purpose: what is written into the history, and when somebody has to look after its length; put behind the prelude.
-- KEYS, ARGV: as the prelude's. Verdicts: none. Cost: O(events).
local HISTORY_PAGE = 1000
local TURNS_BETWEEN = 100

-- Asks the sweepers to look after a history that has become long.
local function history_due() redis.call('ZADD', KEYS[10], 'NX', now, 'history|' .. order.id .. '||') end

-- Notes the events with which turns of the flow begin: the first one that is not kept, and the last ones.
local function turned(ids)
  local kept = tonumber(redis.call('HGET', KEYS[1], 'kept_turns') or '0')
  if kept == 0 then return end
  local turns = fields(KEYS[1], 'turns') or {n = 1, last = {1}}
  local before = turns.n
  for _, id in ipairs(ids) do
    turns.n = turns.n + 1
    if turns.n == kept + 1 then turns.middle = id end
    table.insert(turns.last, id)
    if #turns.last > kept then table.remove(turns.last, 1) end
  end
  redis.call('HSET', KEYS[1], 'turns', cjson.encode(turns))
  if math.floor(turns.n / TURNS_BETWEEN) > math.floor(before / TURNS_BETWEEN) then history_due() end
end

-- Appends events {type, step, frame, cause, detail, 1 if a turn begins, a closed stream's {bytes, blocked_ms}}; cause '' means:
-- the event before. Answers the last id.
local function record(events, last)
  local before = tonumber(redis.call('HGET', KEYS[1], 'events') or '0')
  local id, begun = before, {}
  local at = string.format('%.0f', now)
  for _, e in ipairs(events) do
    id = id + 1
    local cause = e[4] == '' and (last or 0) or e[4]
    redis.call('XADD', KEYS[6], id .. '-0', 'y', e[1], 's', e[2], 'f', e[3], 'c', cause, 't', at, 'd', e[5])
    if e[6] == 1 then table.insert(begun, id) end
    if e[7] then streamed(e[7]) end
    last = id
  end
  redis.call('HSET', KEYS[1], 'events', id)
  if #begun > 0 then turned(begun) end
  if id >= 2 * HISTORY_PAGE and math.floor(id / HISTORY_PAGE) > math.floor(before / HISTORY_PAGE) then history_due() end
  return last
end
