-- include: lib/lists.lua
-- include: lib/log.lua
-- include: lib/minutes.lua
-- include: lib/queues.lua
local ADDED = {'status', 'pending', 'max_attempts', 1}
local failed_at = wire(now)

-- Leave a dead letter of a job that has failed for good, where it asks for one, and tell of it on both. `message` is JSON,
-- `attempts` those that count. Says whether there is one; that the job has it (dead_id, dead_at) is the caller's to store.
local function leave_dead_letter(id, job, attempts, message, reason, dead_id)
    local dead_type = redis.call('HGET', job_key(id), 'dead_type')
    if not dead_type then
        return false
    end
    local original = redis.call('GET', key('payload:' .. id)) or '{}'
    local seq = redis.call('INCR', key('seq'))
    local dead = {type = dead_type, seq = seq, created_at = now, listed_at = now_text, run_at = now, rank = 0}
    tell(id, job, 'job:dead_lettered', '{"dead_letter_job_id":"' .. dead_id .. '"}')
    tell(dead_id, dead, 'job:added')
    redis.call('SET', key('payload:' .. dead_id), table.concat({
        '{"original_job":{"id":"', id, '","job_type":', cjson.encode(job.type), ',"attempts":', attempts, ',"max_attempts":',
        job.max_attempts, '},"original_payload":', original, ',"failure":{"message":', message, ',"reason":"', reason,
        '","failed_at":"', failed_at, '"}}'}))
    redis.call('HSET', job_key(dead_id), 'type', dead_type, 'seq', seq, 'created_at', now_text, 'event', dead.event,
        unpack(ADDED))
    add(key('types'), 0, dead_type)
    queue_up(dead_id, dead)
    enlist(dead_id, dead, 'pending')
    count_minute('added')
    return true
end
