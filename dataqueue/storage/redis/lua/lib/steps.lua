-- include: lib/keys.lua
-- A step as it stands in the log of its job, by its name: one text, its parts separated by spaces. They are how many were
-- stored before it; its kind; its outcome, a hyphen while it is open; the end of a sleep, or the id of a token, or a hyphen;
-- the invocation that awaits it, or a hyphen; and its value as it came, empty where there is none. A value is the caller's:
-- nothing here looks into it. Read by dataqueue/storage/redis/rows.py.
local OPEN, NONE = '-', '-'

local function log_of(id)
    return key('steps:' .. id)
end

local function packed_step(step)
    return table.concat({step.place, step.kind, step.outcome or OPEN, step.of or NONE, step.awaited_by or NONE,
        step.value or ''}, ' ')
end

local function unpacked_step(text)
    local place, kind, outcome, of, awaited_by, value = string.match(text, '^(%d+) (%S+) (%S+) (%S+) (%S+) (.*)$')
    return {place = place, kind = kind, outcome = outcome ~= OPEN and outcome or nil, of = of ~= NONE and of or nil,
        awaited_by = awaited_by ~= NONE and tonumber(awaited_by) or nil, value = value}
end

-- nil where nothing is stored under the name.
local function step_of(id, name)
    local text = redis.call('HGET', log_of(id), name)
    return text and unpacked_step(text) or nil
end

-- Who waits for a token: the job, and the name of the step in which it does.
local function waiter_of(id, name)
    return id .. name
end

local function job_of_waiter(waiter)
    return string.sub(waiter, 1, 36)
end

local function name_of_waiter(waiter)
    return string.sub(waiter, 37)
end

-- What ties a job to a token: that it waits for it in a step, or, without one, that it made it.
local function tie_of(token_id, name)
    return token_id .. name
end

local function token_of_tie(tie)
    return string.sub(tie, 1, 36), string.sub(tie, 37)
end
