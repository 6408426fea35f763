-- Pending or waiting and due -> ready, the longest due first. One that waited resumes.
-- KEYS[1] the namespace   ARGV[2] how many at most
-- Returns how many, and the microseconds until the next is due, nil where none is.
-- include: lib/resuming.lua
local staged, due = 0, key('due')
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now_text, 'LIMIT', 0, tonumber(ARGV[2]))) do
    local job = job_of(id)
    if job and job.wake_at and job.status == 'waiting' then
        resume_job(id, job)
        staged = staged + 1
    elseif job and job.wake_at and job.status == 'pending' then
        leave_queue(id, job)
        redis.call('HDEL', job_key(id), 'reason', 'wake_at')
        redis.call('HSET', job_key(id), 'updated_at', now_text)
        job.wake_at = nil
        queue_up(id, job)
        staged = staged + 1
    else
        remove(due, id)
    end
end
write_down()
log_told()
local next_due = redis.call('ZRANGEBYSCORE', due, '(' .. now_text, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {staged, next_due[2] and tonumber(next_due[2]) - now or false}
