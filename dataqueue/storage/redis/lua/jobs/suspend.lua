-- Processing -> waiting until the first of a job's waits is over; where one is over already, or none is left, -> pending, to
-- be resumed; cancelled where that was requested. The attempt is not used up.
-- KEYS[1] the namespace   ARGV[2…] for each lease: id, invocation, how many waits, and the waits (lib/waits.lua)
-- Returns a word a lease: ok, duplicate or lost.
-- include: lib/cancelling.lua
-- include: lib/waits.lua
local ENDED_BY = {['job:waiting'] = true, ['job:resumed'] = true, ['job:cancelled'] = true}
local answers = {}

local function told_of_wait(wake_at, token_id)
    return '{"wait_until":' .. (wake_at and '"' .. wire(wake_at) .. '"' or 'null') .. ',"token_id":'
        .. (token_id and '"' .. token_id .. '"' or 'null') .. '}'
end

local function suspend(id, job, first, count)
    local waits, wake_at, token_id, stored = store_waits(id, job.invocation, first, count)
    let_go(id, job)
    redis.call('HDEL', job_key(id), unpack(LEFT_BY_A_LEASE))
    local fields = {'updated_at', now_text}
    local function store(name, value)
        if value then
            fields[#fields + 1] = name
            fields[#fields + 1] = value
        end
    end
    local status, event = waits and 'waiting' or 'pending', waits and 'job:waiting' or 'job:resumed'
    tell(id, job, event, waits and told_of_wait(wake_at, token_id) or nil)
    store('status', status)
    store('stepped', stored > 0 and 1)
    store('ended_by', event)
    store('event', job.event)
    store('resumes', not waits and 1)
    store('wait_token', waits and token_id)
    if waits and wake_at then
        job.wake_at = wake_at
        store('wake_at', whole(wake_at))
    end
    redis.call('HSET', job_key(id), unpack(fields))
    if not waits or wake_at then
        queue_up(id, job)
    end
    move(id, job, 'processing', status)
end

local at = 2
while at <= #ARGV do
    local id, count = ARGV[at], tonumber(ARGV[at + 2])
    local job, why = held_job(id, ARGV[at + 1], ENDED_BY)
    if job and job.cancel then
        end_cancelled(id, job, 0)
    elseif job then
        suspend(id, job, at + 3, count)
    end
    answers[#answers + 1] = job and 'ok' or why
    at = at + 3 + count * WAIT_WIDTH
end
write_down()
log_told()
return answers
