-- include: lib/dead_letters.lua
-- include: lib/jobs.lua
-- include: lib/leases.lua
-- include: lib/lists.lua
-- include: lib/log.lua
-- include: lib/minutes.lua
-- include: lib/queues.lua
local LONGEST_HISTORY = 100

local function history_entry(message, error_type, attempt)
    return '{"message":' .. message .. ',"type":' .. error_type .. ',"at":"' .. failed_at .. '","attempt":' .. attempt .. '}'
end

local function told_of_failure(attempt, message, reason, next_attempt_at)
    local again = next_attempt_at and 'true,"next_attempt_at":"' .. wire(next_attempt_at) .. '"}'
    return '{"attempt":' .. attempt .. ',"message":' .. message .. ',"reason":"' .. reason .. '","will_retry":'
        .. (again or 'false,"next_attempt_at":null}')
end

-- Processing -> pending while an attempt is left and the failure may be retried, else failed with its dead letter. A crash
-- gives the attempt back, is counted apart, and takes the job from a worker that did not give it up.
-- `message` and `error_type` are JSON, `wait` the microseconds until another attempt, nil where that would be pointless,
-- `dead_id` what its dead letter would be called. For the caller to end with: write_down(), log_told().
local function fail_job(id, job, message, error_type, reason, wait, dead_id)
    local attempt, attempts = job.attempts, job.attempts
    local next_attempt_at = wait and attempt < job.max_attempts and now + wait or nil
    local fields = {'updated_at', now_text, 'failed_at', now_text, 'failure_reason', reason, 'ended_by', 'job:failed'}
    local function store(name, value)
        fields[#fields + 1] = name
        fields[#fields + 1] = value
    end
    if reason == 'crashed' then
        attempts = attempt - (job.resumes and 0 or 1)
        store('attempts', attempts)
        store('crashes', job.crashes + 1)
        store('invocation', job.invocation + 1)
    end
    let_go(id, job)
    tell(id, job, 'job:failed', told_of_failure(attempt, message, reason, next_attempt_at))
    redis.call('HDEL', job_key(id), 'resumes', unpack(LEFT_BY_A_LEASE))
    if redis.call('RPUSH', key('errors:' .. id), history_entry(message, error_type, attempt)) > LONGEST_HISTORY then
        redis.call('LTRIM', key('errors:' .. id), -LONGEST_HISTORY, -1)
    end
    if next_attempt_at then
        if next_attempt_at > now then
            job.wake_at = next_attempt_at
            store('reason', 'retry')
            store('wake_at', next_attempt_at)
        end
        store('status', 'pending')
        queue_up(id, job)
        move(id, job, 'processing', 'pending')
    else
        store('status', 'failed')
        store('ended_at', now_text)
        if leave_dead_letter(id, job, attempts, message, reason, dead_id) then
            store('dead_id', dead_id)
            store('dead_at', now_text)
        end
        move(id, job, 'processing', 'failed')
        count_minute('failed')
    end
    store('event', job.event)
    redis.call('HSET', job_key(id), unpack(fields))
end
