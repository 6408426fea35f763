-- Remove events of days that are over for so long; where nothing is left in a namespace, the log too.
-- KEYS[1] the namespace   ARGV[2] for how long events are kept, microseconds   ARGV[3] how many are removed at most: a few
-- thousand, and more than a node of the stream holds
-- Returns how many were removed; 0: there are no more.
-- include: lib/instant.lua
-- include: lib/events.lua
local DAY = 86400000000
local at_most = tonumber(ARGV[3])
local kept_from = now - tonumber(ARGV[2])
local cut = whole(kept_from - kept_from % DAY)
local newest = redis.call('XREVRANGE', events_key, '(' .. cut .. '-0', '-', 'COUNT', 1)[1]
local removed = 0
if newest then
    -- Said first: what is only half removed is not read any more.
    redis.call('HSET', log_key, 'dropped', position_of(newest))
    -- Whole nodes are let go as they are; of the one in which the day ends the events are taken out.
    removed = redis.call('XTRIM', events_key, 'MINID', '~', cut .. '-0', 'LIMIT', at_most)
    if removed == 0 then
        removed = redis.call('XTRIM', events_key, 'MINID', '=', cut .. '-0')
    end
end
-- Jobs that were deleted, whose last event is gone.
local dropped = redis.call('HGET', log_key, 'dropped')
local forgotten = dropped and math.min(redis.call('ZCOUNT', key('gone'), '-inf', dropped), at_most) or 0
if forgotten > 0 then
    redis.call('ZREMRANGEBYRANK', key('gone'), 0, forgotten - 1)
end
if redis.call('XLEN', events_key) == 0 then
    redis.call('DEL', events_key)
    if redis.call('EXISTS', key('seq')) == 0 and forgotten < at_most then
        redis.call('DEL', log_key)
    end
end
return math.max(removed, forgotten == at_most and forgotten or 0)
