-- include: lib/keys.lua
-- A job as a script handles it: what every transition looks at. Counters that are not stored are zero, the rest is nil;
-- listed_at is created_at as text.
local FIELDS = {'status', 'type', 'invocation', 'seq', 'created_at', 'run_at', 'rank', 'attempts', 'max_attempts', 'crashes',
    'wake_at', 'tags', 'event', 'cancel', 'resumes', 'reason', 'worker', 'ended_by', 'key', 'stepped'}
local FIRST_NUMBER, LAST_NUMBER = 3, 11

-- nil when there is none.
local function job_of(id)
    local values = redis.call('HMGET', job_key(id), unpack(FIELDS))
    if not values[1] then
        return nil
    end
    local job = {listed_at = values[5]}
    for position = 1, #FIELDS do
        local value = values[position]
        if value then
            job[FIELDS[position]] = position >= FIRST_NUMBER and position <= LAST_NUMBER and tonumber(value) or value
        end
    end
    job.rank, job.attempts, job.crashes = job.rank or 0, job.attempts or 0, job.crashes or 0
    job.invocation, job.run_at = job.invocation or 0, job.run_at or job.created_at
    return job
end
