-- include: lib/keys.lua
-- Events as they stand in the log: {'<position>-0', {'name', …, 'job', …, 'type', …, 'at', …, 'tags', …, 'before', …,
-- 'data', …}}, always in this order (lib/log.lua).
local NAME, JOB, TYPE, AT, TAGS, BEFORE, DATA = 2, 4, 6, 8, 10, 12, 14
local PIECE = 20
local MOST_DATA = 4194304
local events_key, log_key = key('events'), key('log')

local function position_of(entry)
    return string.sub(entry[1], 1, -3)
end

-- Events after a position and up to another, in order, that are wanted: at most so many, with 4 MiB of data or the one that
-- is more, and looking at so many at most. Also the position looked up to, nil where that is the end.
local function stretch(after, last, limit, budget, is_wanted)
    local found, looked_at, data = {}, 0, 0
    while true do
        local asked = math.min(PIECE, budget - looked_at)
        local piece = redis.call('XRANGE', events_key, '(' .. after .. '-0', last, 'COUNT', asked)
        for _, entry in ipairs(piece) do
            after = position_of(entry)
            looked_at = looked_at + 1
            if is_wanted(entry[2]) then
                found[#found + 1] = entry
                data = data + #entry[2][DATA]
                if #found >= limit or data >= MOST_DATA then
                    return found, after
                end
            end
        end
        if #piece < asked then
            return found, nil
        end
        if looked_at >= budget then
            return found, after
        end
    end
end
