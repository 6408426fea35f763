-- Jobs as read, newest first (by created_at, then seq): those that match a filter, from after a place.
-- KEYS[1] the namespace   ARGV[2] the filter (lib/filters.lua)   ARGV[3] [4] created_at and seq of the place, or empty
-- ARGV[5] how many at most   ARGV[6] how many may be looked at   ARGV[7] bytes of payloads, outputs, histories and step logs
-- after which no further job is begun
-- Returns why it ended (end, on or more, see lib/walks.lua), created_at and seq of the last job that is done with, how many
-- were looked at, how many bytes there are, then the jobs as lib/read.lua reads them.
-- include: lib/read.lua
-- include: lib/walks.lua
local limit, largest = tonumber(ARGV[5]), tonumber(ARGV[7])
local found, size = {}, 0

-- To hand over a short text costs about as much as so many bytes.
local A_STEP = 512

local function size_of_steps(log)
    local sum = 0
    for position = 2, #log, 2 do
        sum = sum + #log[position] + A_STEP
    end
    return sum
end

local function size_of(job)
    local sum = (job[3] and #job[3] or 0) + (job[4] and #job[4] or 0)
    for _, failure in ipairs(job[5]) do
        sum = sum + #failure
    end
    return sum + (job[7] and size_of_steps(job[7]) or 0)
end

local wanted, window = asked_for()
local why, created_at, seq, looked_at = walk_over(wanted, window, tonumber(ARGV[6]), function(id)
    if #found == limit or size >= largest then
        return false
    end
    local job = as_read(id)
    if job then
        found[#found + 1] = job
        size = size + size_of(job)
    end
    return true
end)
return {why, created_at, seq, looked_at, size, unpack(found)}
