-- include: lib/jobs.lua
-- include: lib/lists.lua
-- include: lib/names.lua
-- include: lib/ties.lua
-- Delete a job, as job_of reads it: completed, failed or cancelled -> gone, with all that belonged to it. What happened to
-- it stays in the log. Says whether it did; in another status it is left alone.
-- For the caller to end with: write_down(), forget_names().
local function delete_job(id, job)
    if job.status ~= 'completed' and job.status ~= 'failed' and job.status ~= 'cancelled' then
        return false
    end
    -- By then the key may name another job only if it was taken from this one, but to remove another's would be worse.
    if job.key and redis.call('HGET', key('keys'), job.key) == id then
        redis.call('HDEL', key('keys'), job.key)
    end
    redis.call('UNLINK', job_key(id), key('payload:' .. id), key('output:' .. id), key('errors:' .. id))
    if job.stepped then
        redis.call('UNLINK', key('steps:' .. id))
        cut_or_loosen_ties(id, job.event)
    end
    add(key('gone'), job.event, id)
    strike(id, job, job.status)
    strike_by_rank(id, job)
    strike_by_run_at(id, job)
    left_type(job.type)
    for _, tag in ipairs(tags_of(job)) do
        left_tag(tag)
    end
    return true
end
