-- Ready -> processing, highest priority first, then by run_at and order of enqueue.
-- KEYS[1] the namespace   ARGV[2] how many at most   ARGV[3] the worker, ARGV[4] the same as JSON   ARGV[5] the lease,
-- microseconds   ARGV[6…] the types
-- Returns a list a job: id, then its fields as named in RETURNED, its payload, the instant, and its step log, names and
-- steps by turns, unless it has none or there is too much of that to come along.
-- include: lib/log.lua
-- include: lib/lists.lua
-- include: lib/steps.lua
local MOST_STEPS = 100
local room_for_steps = 65536
local RETURNED = {'type', 'tags', 'rank', 'attempts', 'max_attempts', 'crashes', 'invocation', 'timeout_ms', 'retry_delay',
    'retry_backoff', 'retry_delay_max', 'run_at', 'created_at', 'seq', 'event', 'resumes', 'started_at', 'stepped',
    'force_kill'}
local limit, worker, lease_ends = tonumber(ARGV[2]), ARGV[3], whole(now + tonumber(ARGV[5]))
local told = ', "worker_id": ' .. ARGV[4] .. '}'

-- Members of one type's ready jobs, a few at a time: of many types only as much is read as is taken.
local function reader(job_type, piece)
    local ready = key('ready:' .. job_type)
    local head = {ready = ready, from = 0, at = 1, found = {}}
    function head.look()
        if head.at > #head.found and not head.is_end then
            head.found = redis.call('ZRANGE', ready, head.from, head.from + piece - 1, 'WITHSCORES')
            head.from, head.at, head.is_end = head.from + piece, 1, #head.found < piece * 2
        end
        head.member = head.found[head.at]
        head.rank = tonumber(head.found[head.at + 1])
        return head.member
    end
    head.look()
    return head
end

local function open_types()
    local types = {}
    local paused = redis.call('SMISMEMBER', key('paused'), unpack(ARGV, 6))
    for position, is_paused in ipairs(paused) do
        if is_paused == 0 then
            types[#types + 1] = ARGV[5 + position]
        end
    end
    return types
end

local heads = {}
local types = open_types()
for _, job_type in ipairs(types) do
    local head = reader(job_type, #types == 1 and limit or math.min(limit, 10))
    if head.member then
        heads[#heads + 1] = head
    end
end

local function take()
    local best, where
    for position, head in ipairs(heads) do
        if not best or head.rank < best.rank or (head.rank == best.rank and head.member < best.member) then
            best, where = head, position
        end
    end
    if not best then
        return nil
    end
    local member = best.member
    remove(best.ready, member)
    best.at = best.at + 2
    if not best.look() then
        table.remove(heads, where)
    end
    return id_of_ready(member)
end

-- Once what comes along is much, no further log is looked at.
local function steps_to_come_along(id)
    if room_for_steps <= 0 or redis.call('HLEN', log_of(id)) > MOST_STEPS then
        return false
    end
    local log = redis.call('HGETALL', log_of(id))
    for _, text in ipairs(log) do
        room_for_steps = room_for_steps - #text
    end
    return log
end

local running_key, payload_key = key('running'), key('payload:')
local claimed, held, payloads = {}, {}, {}

local function claim(id, values)
    local job = {type = values[1], tags = values[2] or nil, listed_at = values[13], seq = tonumber(values[14]),
        event = values[15]}
    local attempts = (values[4] or 0) + (values[16] and 0 or 1)
    local invocation = (values[7] or 0) + 1
    tell(id, job, 'job:processing', '{"attempt": ' .. attempts .. told)
    redis.call('HSET', job_key(id), 'status', 'processing', 'attempts', attempts, 'invocation', invocation, 'worker', worker,
        'locked_at', now_text, 'updated_at', now_text, 'started_at', values[17] or now_text, 'lease', lease_ends,
        'event', job.event)
    values[4], values[7] = attempts, invocation
    move(id, job, 'pending', 'processing')
    add(running_key, lease_ends, id)
    held[#held + 1] = id
    payloads[#payloads + 1] = payload_key .. id
    claimed[#claimed + 1] = {id, values, false, now_text, values[18] and steps_to_come_along(id)}
end

while #claimed < limit do
    local id = take()
    if not id then
        break
    end
    local values = redis.call('HMGET', job_key(id), unpack(RETURNED))
    -- A place without a job, should there ever be one, is taken away and stops nobody.
    if values[1] then
        claim(id, values)
    end
end
if #held > 0 then
    redis.call('SADD', key('held:' .. worker), unpack(held))
    for position, payload in ipairs(redis.call('MGET', unpack(payloads))) do
        claimed[position][3] = payload
    end
end
write_down()
log_told()
return claimed
