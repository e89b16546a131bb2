-- Purpose: which items of a fork are to be done: those that were given back, then those never taken; put behind the joins.
-- KEYS, ARGV: as the prelude's. Verdicts: none. Cost: O(ranges of a page), at most some hundred.
local function ranges_of(join) return cjson.decode(redis.call('HGET', KEYS[4], join .. ':returned') or '[]') end
local function keep_ranges(join, ranges) redis.call('HSET', KEYS[4], join .. ':returned', cjson.encode(ranges)) end

-- Items of a batch that did not get their turn can be taken again.
local function give_back(join, j, from, to)
  if from >= to then return end
  local ranges = ranges_of(join)
  table.insert(ranges, {from, to})
  keep_ranges(join, ranges)
  j.returned = j.returned + to - from
end

-- Takes items that were given back, at most `count`; a redrive has left them in pages.
local function take_returned(join, j, count)
  local ranges = ranges_of(join)
  if #ranges == 0 then
    local page = join .. ':returned.' .. j.tag .. '.' .. j.pages
    ranges = cjson.decode(redis.call('HGET', KEYS[4], page))
    redis.call('HDEL', KEYS[4], page)
    j.pages = j.pages - 1
  end
  local range = table.remove(ranges)
  local stop = math.min(range[2], range[1] + count)
  if stop < range[2] then table.insert(ranges, {stop, range[2]}) end
  keep_ranges(join, ranges)
  j.returned = j.returned - (stop - range[1])
  return range[1], stop
end
