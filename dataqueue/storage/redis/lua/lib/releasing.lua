-- include: lib/cancelling.lua
-- include: lib/jobs.lua
-- include: lib/leases.lua
-- include: lib/lists.lua
-- include: lib/log.lua
-- include: lib/queues.lua
-- Processing -> pending as it was: ready, the attempt given back. `name` is the event; then what else is to be stored, a
-- field and its value.
-- For the caller to end with: write_down(), log_told().
local function give_back(id, job, name, ...)
    let_go(id, job)
    tell(id, job, name)
    redis.call('HDEL', job_key(id), unpack(LEFT_BY_A_LEASE))
    redis.call('HSET', job_key(id), 'status', 'pending', 'attempts', job.attempts - (job.resumes and 0 or 1),
        'updated_at', now_text, 'event', job.event, ...)
    queue_up(id, job)
    move(id, job, 'processing', 'pending')
end

-- The verb: by the worker that holds the job; cancelled where that was requested.
local function release_job(id, job)
    if job.cancel then
        end_cancelled(id, job, 0)
    else
        give_back(id, job, 'job:released', 'ended_by', 'job:released')
    end
end
