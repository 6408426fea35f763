-- include: lib/jobs.lua
-- include: lib/lists.lua
-- include: lib/log.lua
-- include: lib/queues.lua
-- Retry a job, as job_of reads it: failed or cancelled -> pending now, one attempt granted where none is left, crashes
-- forgiven, history kept. Says whether it did; in another status it is left alone.
-- For the caller to end with: write_down(), log_told().
local function retry_job(id, job)
    if job.status ~= 'failed' and job.status ~= 'cancelled' then
        return false
    end
    relist_by_run_at(id, job, math.min(job.run_at, now))
    tell(id, job, 'job:retried')
    redis.call('HDEL', job_key(id), 'crashes', 'ended_at', 'failure_reason', 'run_at')
    redis.call('HSET', job_key(id), 'status', 'pending', 'max_attempts', math.max(job.max_attempts, job.attempts + 1),
        'retried_at', now_text, 'updated_at', now_text, 'event', job.event)
    if job.run_at ~= job.created_at then
        redis.call('HSET', job_key(id), 'run_at', job.run_at)
    end
    queue_up(id, job)
    move(id, job, job.status, 'pending')
    return true
end
