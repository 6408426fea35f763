-- include: lib/jobs.lua
-- include: lib/lists.lua
-- include: lib/log.lua
-- include: lib/queues.lua
-- Waiting -> pending, ready: the next claim resumes it. For the caller to end with: write_down(), log_told().
local function resume_job(id, job)
    leave_queue(id, job)
    job.wake_at = nil
    tell(id, job, 'job:resumed')
    redis.call('HDEL', job_key(id), 'wake_at', 'wait_token')
    redis.call('HSET', job_key(id), 'status', 'pending', 'resumes', 1, 'updated_at', now_text, 'event', job.event)
    queue_up(id, job)
    move(id, job, 'waiting', 'pending')
end
