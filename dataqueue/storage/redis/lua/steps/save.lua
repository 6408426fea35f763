-- Store steps that were just done, each only while its lease is held and nothing stands under its name; a token is made
-- in the same act.
-- KEYS[1] the namespace   ARGV[2…] seven values a step: job, invocation, name, kind (run or create_token), its value or
-- the id of the token, and the token's timeout in microseconds and tags as JSON, each empty for none
-- Returns the instant of this call, then for each step nil where the lease is not held, stored, or what stands under the
-- name (lib/steps.lua).
-- include: lib/jobs.lua
-- include: lib/steps.lua
-- include: lib/tokens.lua
local answers = {now_text}

local function store(id, job, name, kind, value, timeout, tags)
    local step = {place = redis.call('HLEN', log_of(id)), kind = kind, outcome = 'ok', value = value}
    if kind == 'create_token' then
        step.of, step.value = value, '{"id":"' .. value .. '"}'
        add_token(value, timeout, tags, id, name)
        tell(id, job, 'token:created', data_of_token(value), tags)
    else
        -- No name of a step has a character that JSON would write otherwise.
        tell(id, job, 'step:completed', '{"step":"' .. name .. '"}')
    end
    redis.call('HSET', log_of(id), name, packed_step(step))
    redis.call('HSET', job_key(id), 'stepped', 1, 'event', job.event)
end

local function save(id, invocation, name, ...)
    local job = job_of(id)
    if not job or job.status ~= 'processing' or job.invocation ~= tonumber(invocation) then
        return false
    end
    local stored = redis.call('HGET', log_of(id), name)
    if stored then
        return stored
    end
    store(id, job, name, ...)
    return 'stored'
end

for first = 2, #ARGV, 7 do
    answers[#answers + 1] = save(unpack(ARGV, first, first + 6))
end
write_down()
log_told()
return answers
