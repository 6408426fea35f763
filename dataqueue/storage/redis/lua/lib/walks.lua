-- include: lib/families.lua
-- include: lib/readers.lua
-- A walk over jobs, newest first.
local function seq_of_list(member)
    return tonumber(string.sub(member, 1, 16))
end

-- Visit the jobs that pass, of at most `most` that are looked at: visit(id) says whether it takes the job, else the walk
-- ends before it. Returns why it ended (end: there are no more; more: not taken; on: `most` were looked at), the created_at
-- and seq of the last job that is done with, empty if none is, and how many are.
local function walk_over(wanted, window, most, visit)
    local walks, decided = walks_of(wanted, window)
    local checks, readers, looked_at, last = checks_of(wanted, decided), readers_of(walks), 0, nil
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
        window.high, window.before = at, string.format('%016d', ARGV[4])
    end
    return wanted, window
end
