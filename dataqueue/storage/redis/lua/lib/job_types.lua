-- include: lib/counts.lua
-- A type as read: its name, whether it is paused, its settings as pairs, its counts.
local function type_as_read(job_type)
    local counts = {}
    add_counts(counts, 'ty:', ':' .. job_type)
    return {job_type, redis.call('SISMEMBER', key('paused'), job_type), redis.call('HGETALL', key('settings:' .. job_type)),
        counts}
end
