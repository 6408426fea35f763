-- include: lib/keys.lua
-- include: lib/instant.lua
-- The log of events. A position is the instant in microseconds, or the next free one: it only grows, even where a log that
-- was removed as a whole begins again. Each event names the one before it of its job, so that those of a job are found.
local log_key, events_key = key('log'), key('events')
local last_position = nil

local function next_position()
    if not last_position then
        last_position = tonumber(redis.call('HGET', log_key, 'last'))
    end
    if not last_position then
        redis.call('HSET', log_key, 'born', now_text)
    end
    last_position = math.max((last_position or 0) + 1, now)
    return last_position
end

-- Tell of a job (its type, tags and event, the position of its last one) what happened; data is JSON or nil, tags are given
-- where they are not the job's. The new position is in job.event, for the caller to store. Job and type are empty where it
-- is about none.
local function tell(id, job, name, data, tags)
    local position = whole(next_position())
    redis.call('XADD', events_key, position .. '-0', 'name', name, 'job', id, 'type', job.type, 'at', now_text, 'tags',
        tags or job.tags or '', 'before', job.event or '', 'data', data or '')
    job.event = position
end

local function log_told()
    if last_position then
        redis.call('HSET', log_key, 'last', whole(last_position))
    end
end
