-- include: lib/resuming.lua
-- include: lib/steps.lua
-- include: lib/tokens.lua
-- Those who wait for a token: a step each, of a job. It ends with the token, whatever its job does now; a job that waits for
-- it at present resumes.
local MOST_WAITERS, MOST_COPIED = 50, 1048576
local copied, resumed, woken = 0, 0, {}

-- To how many an output may still be copied; to one in any case, if it is the first.
local function copies_left(value)
    if #value == 0 then
        return MOST_WAITERS
    end
    return math.max(math.floor((MOST_COPIED - copied) / #value), copied == 0 and 1 or 0)
end

-- Bring the end of a token to at most so many who wait for it, the first first, fewer where its output is large. Says how
-- many they were, and whether some are left: the token then stands in `waking` until all have heard of it.
-- For the caller to end with: write_down(), log_told().
local function wake_waiters(id, token, room)
    local awaiting = key('awaiting:' .. id)
    local value = token.status == 'completed' and result_of(id) or nil
    local outcome = value and 'ok' or 'timeout'
    local most = math.min(room, copies_left(value or ''))
    local found = most > 0 and redis.call('ZRANGE', awaiting, 0, most - 1) or {}
    copied = copied + #found * #(value or '')
    for _, waiter in ipairs(found) do
        local job_id, name = job_of_waiter(waiter), name_of_waiter(waiter)
        local step = step_of(job_id, name)
        remove(key('ties:' .. job_id), tie_of(id, name))
        if step and not step.outcome and step.of == id then
            step.outcome, step.value = outcome, value
            redis.call('HSET', log_of(job_id), name, packed_step(step))
            local job = job_of(job_id)
            if job and job.status == 'waiting' and job.invocation == step.awaited_by then
                resume_job(job_id, job)
                resumed = resumed + 1
                woken[job.type] = true
            end
        end
    end
    if #found > 0 then
        redis.call('ZREM', awaiting, unpack(found))
    end
    local are_left = redis.call('EXISTS', awaiting) == 1
    if are_left then
        add(key('waking'), token.ended_at, id)
    else
        remove(key('waking'), id)
    end
    return #found, are_left
end

-- The types of the jobs that resume.
local function woken_types()
    local types = {}
    for job_type in pairs(woken) do
        types[#types + 1] = job_type
    end
    return types
end
