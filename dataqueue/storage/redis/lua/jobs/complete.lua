-- Processing -> completed, also where a cancel was requested: the work is done.
-- KEYS[1] the namespace   ARGV[2…] three values a lease: id, invocation, output (empty: none)
-- Returns a word a lease: ok, duplicate or lost.
-- include: lib/leases.lua
-- include: lib/log.lua
-- include: lib/lists.lua
-- include: lib/minutes.lua
local ENDED_BY = {['job:completed'] = true}
local answers = {}
for first = 2, #ARGV, 3 do
    local id, output = ARGV[first], ARGV[first + 2]
    local job, why = held_job(id, ARGV[first + 1], ENDED_BY)
    if job then
        let_go(id, job)
        tell(id, job, 'job:completed', '{"attempt": ' .. job.attempts .. '}')
        redis.call('HDEL', job_key(id), 'resumes', unpack(LEFT_BY_A_LEASE))
        redis.call('HSET', job_key(id), 'status', 'completed', 'ended_at', now_text, 'updated_at', now_text, 'ended_by', 'job:completed',
            'event', job.event)
        if output ~= '' then
            redis.call('SET', key('output:' .. id), output)
        end
        move(id, job, 'processing', 'completed')
        count_minute('completed')
        count_latency(job)
    end
    answers[#answers + 1] = job and 'ok' or why
end
write_down()
log_told()
return answers
