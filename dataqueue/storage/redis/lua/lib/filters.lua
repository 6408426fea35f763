-- include: lib/keys.lua
-- What a filter asks of a job. It comes as JSON from dataqueue/storage/redis/filters.py: `statuses`, all six where it does
-- not narrow; `types` and `tags`, empty where it does not; `mode` of the tags; `rank`, `run_at` and `created_at` (the first
-- and the last instant that will do), left out where it does not.
local ALL_STATUSES = 6

local function set_of(names)
    local set = {}
    for _, name in ipairs(names) do
        set[name] = true
    end
    return set
end

local function one_of(names)
    local set = set_of(names)
    return function(value)
        return set[value]
    end
end

local function has_tags(asked, mode)
    local set = set_of(asked)
    return function(text)
        local own = text and cjson.decode(text) or {}
        local common = 0
        for _, tag in ipairs(own) do
            common = common + (set[tag] and 1 or 0)
        end
        if mode == 'any' then
            return common > 0
        elseif mode == 'none' then
            return common == 0
        end
        return common == #asked and (mode == 'all' or #own == common)
    end
end

-- What has to be looked at in each job, where `decided` is known of all that are looked at: fields, and a test of each.
local function checks_of(wanted, decided)
    local fields, tests = {}, {}
    local function check(field, test)
        fields[#fields + 1], tests[#tests + 1] = field, test
    end
    if #wanted.statuses < ALL_STATUSES and not decided.status then
        check('status', one_of(wanted.statuses))
    end
    if #wanted.types > 0 and not decided.type then
        check('type', one_of(wanted.types))
    end
    if wanted.rank and not decided.rank then
        check('rank', function(rank)
            return tonumber(rank or 0) == wanted.rank
        end)
    end
    if wanted.run_at then
        check('run_at', function(value, created_at)
            local run_at = tonumber(value or created_at)
            return run_at >= wanted.run_at[1] and run_at <= wanted.run_at[2]
        end)
    end
    if #wanted.tags > 0 and not decided.tags then
        check('tags', has_tags(wanted.tags, wanted.mode))
    end
    return {fields = fields, tests = tests}
end

local function passes(checks, id, created_at)
    if #checks.fields == 0 then
        return true
    end
    local values = redis.call('HMGET', job_key(id), unpack(checks.fields))
    for position, test in ipairs(checks.tests) do
        if not test(values[position], created_at) then
            return false
        end
    end
    return true
end
