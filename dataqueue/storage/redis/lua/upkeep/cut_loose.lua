-- Cut ties to tokens that a job had too many of when it was deleted, the longest deleted first.
-- KEYS[1] the namespace
-- Returns whether some are left.
-- include: lib/ties.lua
local loose = key('loose')
local name = redis.call('ZRANGE', loose, 0, 0)[1]
if name and cut_ties(string.sub(name, -36), key('loose:' .. name), MOST_TIES) == 0 then
    redis.call('ZREM', loose, name)
end
write_down()
return redis.call('EXISTS', loose)
