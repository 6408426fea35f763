-- Remove events of days that are over for so long; where nothing is left in a namespace, the log too.
-- KEYS[1] the namespace   ARGV[2] for how long events are kept, microseconds   ARGV[3] how many are removed at most: a few
-- thousand, and more than a node of the stream holds
-- Returns how many were removed; 0: there are no more.
-- include: lib/instant.lua
-- include: lib/events.lua
local DAY = 86400000000
local at_most = tonumber(ARGV[3])
local kept_from = now - tonumber(ARGV[2])
local cut = kept_from - kept_from % DAY
local last = tonumber(redis.call('HGET', log_key, 'last') or 0)

-- The first event from a position on, up to another.
local function first_of(from, to)
    return redis.call('XRANGE', events_key, whole(from) .. '-0', to, 'COUNT', 1)[1]
end

-- Of a day that is over; or of one to come, when the clock was ahead: that was before whatever stands behind it.
local function is_passed(event)
    local at = tonumber(event[2][AT])
    return at < cut or at > now
end

-- Once the clock is set back, positions stay ahead of it and do not tell the day. Events still stand in the order in which
-- they happened, so those that are passed come first, and the range is halved until the last of them is found. Where that
-- one is of a day to come, nothing proves it old.
local function last_over(first)
    local found, high = first, last
    if not is_passed(first) then
        return nil
    end
    while tonumber(position_of(found)) < high do
        local middle = math.ceil((position_of(found) + high) / 2)
        local event = first_of(middle, whole(high) .. '-0')
        if event and is_passed(event) then
            found = event
        else
            high = middle - 1
        end
    end
    return tonumber(found[2][AT]) < cut and found or nil
end

local first = first_of(0, '+')
local newest = nil
if first and tonumber(position_of(first)) < cut then
    -- Only where there is one: from a place before the first event Redis walks back over the whole log, to find none.
    newest = redis.call('XREVRANGE', events_key, '(' .. whole(cut) .. '-0', '-', 'COUNT', 1)[1]
elseif first and last > now then
    newest = last_over(first)
end
local removed = 0
if newest then
    local kept = whole(position_of(newest) + 1) .. '-0'
    -- Said first: what is only half removed is not read any more.
    redis.call('HSET', log_key, 'dropped', position_of(newest))
    -- Whole nodes are let go as they are; of the one in which the day ends the events are taken out.
    removed = redis.call('XTRIM', events_key, 'MINID', '~', kept, 'LIMIT', at_most)
    if removed == 0 then
        removed = redis.call('XTRIM', events_key, 'MINID', '=', kept)
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
    -- Not while positions are ahead: those of the next log would be before them, and unseen by whoever has read so far.
    if redis.call('EXISTS', key('seq')) == 0 and forgotten < at_most and last < now then
        redis.call('DEL', log_key)
    end
end
return math.max(removed, forgotten == at_most and forgotten or 0)
