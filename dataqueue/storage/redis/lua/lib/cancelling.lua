-- include: lib/jobs.lua
-- include: lib/leases.lua
-- include: lib/lists.lua
-- include: lib/log.lua
-- include: lib/queues.lua
-- Pending, waiting or processing -> cancelled. moved_on is added to the invocation: 1 takes the job from a worker that did
-- not give it up. For the caller to end with: write_down(), log_told().
local function end_cancelled(id, job, moved_on)
    if job.status == 'processing' then
        let_go(id, job)
    else
        leave_queue(id, job)
    end
    tell(id, job, 'job:cancelled')
    redis.call('HDEL', job_key(id), 'reason', 'wake_at', 'wait_token', 'resumes', unpack(LEFT_BY_A_LEASE))
    redis.call('HSET', job_key(id), 'status', 'cancelled', 'ended_at', now_text, 'updated_at', now_text,
        'cancelled_at', now_text, 'ended_by', 'job:cancelled', 'event', job.event)
    if moved_on ~= 0 then
        redis.call('HINCRBY', job_key(id), 'invocation', moved_on)
    end
    move(id, job, job.status, 'cancelled')
end

-- Cancel a job, as job_of reads it: pending or waiting -> cancelled; processing: marked, and its worker is told at the next
-- heartbeat. Says whether either became true of it; one that has ended, or is marked already, is left alone.
-- For the caller to end with: write_down(), log_told().
local function cancel_job(id, job)
    if job.status == 'pending' or job.status == 'waiting' then
        end_cancelled(id, job, 0)
        return true
    end
    if job.status == 'processing' and not job.cancel then
        redis.call('HSET', job_key(id), 'cancel', 1, 'updated_at', now_text)
        return true
    end
    return false
end
