-- include: lib/keys.lua
-- include: lib/instant.lua
-- include: lib/filters.lua
-- Where to look for the jobs that a filter asks for: lists that hold all of them between two instants, as few others as can
-- be, each with a window (lib/readers.lua).
local function every_list(wanted, family, names)
    local lists = {}
    for _, status in ipairs(wanted.statuses) do
        for _, name in ipairs(names) do
            lists[#lists + 1] = key(family .. status .. name)
        end
    end
    return lists
end

local function by_name(names)
    local named = {}
    for position, name in ipairs(names) do
        named[position] = ':' .. name
    end
    return named
end

-- Every way to find them: lists, each job in one of them at least, and what is known of all jobs that are in them. Of two
-- that are as good the one to prefer comes first: it leaves less to look at.
local function families_of(wanted)
    local found = {}
    local tags = by_name(wanted.mode ~= 'none' and wanted.tags or {})
    if wanted.mode == 'any' and #tags > 0 then
        found[1] = {lists = every_list(wanted, 'tg:', tags), decided = {status = true, tags = true}}
    else
        for position, tag in ipairs(tags) do
            local decided = {status = true, tags = #tags == 1 and wanted.mode == 'all'}
            found[position] = {lists = every_list(wanted, 'tg:', {tag}), decided = decided}
        end
    end
    if wanted.rank and wanted.rank ~= 0 then
        found[#found + 1] = {lists = {key('rk:' .. wanted.rank)}, decided = {rank = true}}
    end
    local of_types = #wanted.types > 0
    found[#found + 1] = {
        lists = every_list(wanted, of_types and 'ty:' or 'st:', of_types and by_name(wanted.types) or {''}),
        decided = {status = true, type = of_types},
    }
    return found
end

local function size_within(list, window)
    if not window.low and not window.high then
        return redis.call('ZCARD', list)
    end
    return redis.call('ZCOUNT', list, window.low and whole(window.low) or '-inf', window.high and whole(window.high) or '+inf')
end

-- The smallest of them, and its size; `most` where none is smaller.
local function smallest(families, window, most)
    local best
    for _, family in ipairs(families) do
        local size = 0
        for _, list in ipairs(family.lists) do
            if size < most then
                size = size + size_within(list, window)
            end
        end
        if size < most then
            best, most = family, size
        end
    end
    return best, most
end

local function narrowed(window, bounds)
    if window.high and window.high <= bounds[2] then
        return {low = math.max(window.low or 0, bounds[1]), high = window.high, before = window.before}
    end
    return {low = math.max(window.low or 0, bounds[1]), high = bounds[2]}
end

-- Walks (a list and a window each) over all that can match, and what is known of all jobs on them.
local function walks_of(wanted, window)
    local families = families_of(wanted)
    local chosen, size = families[1], nil
    if #families > 1 or wanted.run_at then
        chosen, size = smallest(families, window, math.huge)
    end
    local walks, decided = {}, chosen.decided
    if wanted.run_at then
        -- Most jobs were to run when they were created: of those only what was created in that time is of interest. Beside
        -- them there are the others.
        local later, near = key('later'), narrowed(window, wanted.run_at)
        local others = size_within(later, window)
        local closer = smallest(families, near, size - others)
        if closer then
            walks[1] = {list = later, window = window}
            chosen, window, decided = closer, near, {}
        end
    end
    for _, list in ipairs(chosen.lists) do
        walks[#walks + 1] = {list = list, window = window}
    end
    return walks, decided
end
