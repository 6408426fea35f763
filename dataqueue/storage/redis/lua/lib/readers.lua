-- include: lib/keys.lua
-- include: lib/instant.lua
-- Over several lists at once, newest first: sorted sets by created_at, each read a few members at a time.
local FIRST_PIECE = 8

-- How many of a list come before a place, those of the same instant only if their member is before a text, if there is one:
-- they stand by that, and are halved until it is found.
local function rank_of(list, created_at, before)
    local at = whole(created_at)
    local first = redis.call('ZCOUNT', list, '-inf', '(' .. at)
    local last = first + redis.call('ZCOUNT', list, at, at)
    while before and first < last do
        local middle = math.floor((first + last) / 2)
        if redis.call('ZRANGE', list, middle, middle)[1] < before then
            first = middle + 1
        else
            last = middle
        end
    end
    return last
end

-- A walk is a list, and a window of it, {low, high, before}: from one created_at to another, and of those of the latter what
-- has a smaller member; each may be nil.
local function reader_of(walk)
    local list, window = walk.list, walk.window
    local reader = {list = list, at = 0, piece = FIRST_PIECE, first = 0, last = -1}
    if window.low then
        reader.first = redis.call('ZCOUNT', list, '-inf', '(' .. whole(window.low))
    end
    if window.high then
        reader.last = rank_of(list, window.high, window.before) - 1
    else
        reader.last = redis.call('ZCARD', list) - 1
    end
    return reader
end

-- To the next member of a list; false when there is none.
local function step(reader)
    if reader.at == 0 then
        if reader.last < reader.first then
            return false
        end
        local first = math.max(reader.first, reader.last - reader.piece + 1)
        reader.found = redis.call('ZRANGE', reader.list, first, reader.last, 'WITHSCORES')
        reader.last, reader.piece, reader.at = first - 1, reader.piece * 2, #reader.found
    end
    reader.member, reader.created_at = reader.found[reader.at - 1], tonumber(reader.found[reader.at])
    reader.at = reader.at - 2
    return true
end

local function is_newer(one, other)
    if one.created_at ~= other.created_at then
        return one.created_at > other.created_at
    end
    return one.member > other.member
end

-- Among readers, of which the last is at the newest member: each belongs before the first that is newer.
local function put_among(readers, reader)
    local low, high = 1, #readers + 1
    while low < high do
        local middle = math.floor((low + high) / 2)
        if is_newer(readers[middle], reader) then
            high = middle
        else
            low = middle + 1
        end
    end
    table.insert(readers, low, reader)
end

-- Readers of these walks that have anything.
local function readers_of(walks)
    local readers = {}
    for _, walk in ipairs(walks) do
        local reader = reader_of(walk)
        if step(reader) then
            put_among(readers, reader)
        end
    end
    return readers
end
