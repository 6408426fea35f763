-- A namespace at a glance, but for how its types do.
-- KEYS[1] the namespace
-- Returns its counts, and what was counted in the sixty full minutes before this one and since: fields and sums, by turns.
-- include: lib/counts.lua
-- include: lib/instant.lua
local MOST_MINUTES = 200
local counts, sums, flat = {}, {}, {}
add_counts(counts, 'st:', '')
local first = whole(math.floor(now / 60000000) - 60)
-- There are sixty-one of them, unless the clock was put back.
for _, minute in ipairs(redis.call('ZRANGEBYSCORE', key('minutes'), first, '+inf', 'LIMIT', 0, MOST_MINUTES)) do
    local fields = redis.call('HGETALL', key('minute:' .. minute))
    for position = 1, #fields, 2 do
        sums[fields[position]] = (sums[fields[position]] or 0) + tonumber(fields[position + 1])
    end
end
for field, sum in pairs(sums) do
    flat[#flat + 1] = field
    flat[#flat + 1] = sum
end
return {counts, flat}
