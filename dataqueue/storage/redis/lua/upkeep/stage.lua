-- Pending or waiting and due -> ready, the longest due first.
-- KEYS[1] the namespace   ARGV[2] how many at most
-- Returns how many, and the microseconds until the next is due, nil where none is.
-- include: lib/jobs.lua
-- include: lib/lists.lua
-- include: lib/queues.lua
-- include: lib/instant.lua
local staged, due = 0, key('due')
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now_text, 'LIMIT', 0, tonumber(ARGV[2]))) do
    local job = job_of(id)
    if job and job.wake_at and (job.status == 'pending' or job.status == 'waiting') then
        leave_queue(id, job)
        redis.call('HDEL', job_key(id), 'reason', 'wake_at')
        redis.call('HSET', job_key(id), 'updated_at', now_text)
        if job.status == 'waiting' then
            redis.call('HSET', job_key(id), 'status', 'pending', 'resumes', 1)
            move(id, job, 'waiting', 'pending')
        end
        job.wake_at = nil
        queue_up(id, job)
        staged = staged + 1
    else
        remove(due, id)
    end
end
write_down()
local next_due = redis.call('ZRANGEBYSCORE', due, '(' .. now_text, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {staged, next_due[2] and tonumber(next_due[2]) - now or false}
