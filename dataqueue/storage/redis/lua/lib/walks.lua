-- include: lib/keys.lua
-- include: lib/instant.lua
-- include: lib/families.lua
-- A walk over jobs, newest first: over several lists at once, each read a few members at a time.
local FIRST_PIECE = 8

local function seq_of_list(member)
    return tonumber(string.sub(member, 1, 16))
end

-- How many of a list come before a place: those of the same instant stand by seq, and are halved until it is found.
local function rank_of(list, created_at, seq)
    local at = whole(created_at)
    local first = redis.call('ZCOUNT', list, '-inf', '(' .. at)
    local last = first + redis.call('ZCOUNT', list, at, at)
    while seq and first < last do
        local middle = math.floor((first + last) / 2)
        if seq_of_list(redis.call('ZRANGE', list, middle, middle)[1]) < seq then
            first = middle + 1
        else
            last = middle
        end
    end
    return last
end

local function reader_of(walk)
    local list, window = walk.list, walk.window
    local reader = {list = list, at = 0, piece = FIRST_PIECE, first = 0, last = -1}
    if window.low then
        reader.first = redis.call('ZCOUNT', list, '-inf', '(' .. whole(window.low))
    end
    if window.high then
        reader.last = rank_of(list, window.high, window.seq) - 1
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

-- Among readers, of which the last is at the newest job: each belongs before the first that is newer.
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

-- Visit the jobs that pass, of at most `most` that are looked at: visit(id) says whether it takes the job, else the walk
-- ends before it. Returns why it ended (end: there are no more; more: not taken; on: `most` were looked at), the created_at
-- and seq of the last job that is done with, empty if none is, and how many are.
local function walk_over(wanted, window, most, visit)
    local walks, decided = walks_of(wanted, window)
    local checks, readers, looked_at, last = checks_of(wanted, decided), {}, 0, nil
    for _, walk in ipairs(walks) do
        local reader = reader_of(walk)
        if step(reader) then
            put_among(readers, reader)
        end
    end
    local created_at = ''
    local function ended(why)
        return why, created_at, last and seq_of_list(last) or '', looked_at
    end
    while #readers > 0 do
        local reader = table.remove(readers)
        local member = reader.member
        if member ~= last then
            if looked_at == most then
                return ended('on')
            end
            local id = id_of_list(member)
            if passes(checks, id, reader.created_at) and not visit(id) then
                return ended('more')
            end
            last, created_at, looked_at = member, whole(reader.created_at), looked_at + 1
        end
        if step(reader) then
            put_among(readers, reader)
        end
    end
    return ended('end')
end

-- The filter and the window of a script that is given them: ARGV[2] the filter, ARGV[3] and [4] created_at and seq of the
-- job after which it begins, or empty.
local function asked_for()
    local wanted = cjson.decode(ARGV[2])
    local bounds = wanted.created_at or {}
    local window = {low = bounds[1], high = bounds[2]}
    local at = tonumber(ARGV[3])
    if at and (not window.high or at <= window.high) then
        window.high, window.seq = at, tonumber(ARGV[4])
    end
    return wanted, window
end
