-- include: lib/instant.lua
-- include: lib/steps.lua
local paused_types = {}

local function is_paused(job_type)
    local paused = paused_types[job_type]
    if not paused then
        paused = redis.call('SISMEMBER', key('paused'), job_type)
        paused_types[job_type] = paused
    end
    return paused
end

-- A job as read, see lua/jobs/get.lua; nil when there is none.
local function as_read(id)
    local pairs_of = redis.call('HGETALL', job_key(id))
    if #pairs_of == 0 then
        return nil
    end
    local job_type, has_steps
    for position = 1, #pairs_of, 2 do
        if pairs_of[position] == 'type' then
            job_type = pairs_of[position + 1]
        elseif pairs_of[position] == 'stepped' then
            has_steps = true
        end
    end
    return {id, pairs_of, redis.call('GET', key('payload:' .. id)), redis.call('GET', key('output:' .. id)),
        redis.call('LRANGE', key('errors:' .. id), 0, -1), is_paused(job_type),
        has_steps and redis.call('HGETALL', log_of(id)) or false, now_text}
end
