-- include: lib/keys.lua
-- Names of types and tags, which are listed while some job has them, or an operator has set something for the type.
local STATUSES = {'pending', 'processing', 'waiting', 'completed', 'failed', 'cancelled'}
local left_types, left_tags, any_left = {}, {}, false

-- A job of the type is gone.
local function left_type(job_type)
    left_types[job_type], any_left = true, true
end

-- A job that had the tag is gone, or has it no longer.
local function left_tag(tag)
    left_tags[tag] = true
end

local function is_listed(family, name)
    local lists = {}
    for position, status in ipairs(STATUSES) do
        lists[position] = key(family .. status .. name)
    end
    return redis.call('EXISTS', unpack(lists)) > 0
end

-- Take away the names that nothing has any more; with the last job the order of enqueue. After write_down().
local function forget_names()
    for tag in pairs(left_tags) do
        if not is_listed('tg:', ':' .. tag) then
            redis.call('ZREM', key('tags'), tag)
        end
    end
    for job_type in pairs(left_types) do
        if not is_listed('ty:', ':' .. job_type) and redis.call('EXISTS', key('settings:' .. job_type)) == 0 then
            redis.call('ZREM', key('types'), job_type)
        end
    end
    if any_left and not is_listed('st:', '') then
        redis.call('DEL', key('seq'))
    end
end
