-- Nothing -> pending, all of them or none.
-- KEYS[1] the namespace   ARGV[2] not empty: some may have been stored by an earlier call whose reply was lost
-- ARGV[3…] fourteen values a job: id, type, rank, run_at, delay, max_attempts, payload, tags, key, timeout_ms, retry_delay,
-- retry_backoff, retry_delay_max, dead_type; empty where not given.
-- Returns three values a job: id, status, and created or found (a job with its key); or taken, the number of the job whose
-- id another job has, and nothing was stored.
-- include: lib/log.lua
-- include: lib/lists.lua
-- include: lib/minutes.lua
local WIDTH = 14
local DEFAULTS = {'max_attempts', 'timeout_ms', 'retry_delay', 'retry_backoff', 'retry_delay_max'}
local again = ARGV[2] ~= ''
local answers, fresh, winners = {}, {}, {}

local function given(first)
    return {id = ARGV[first], type = ARGV[first + 1], payload = ARGV[first + 6], key = ARGV[first + 8]}
end

-- A repeat of the very same enqueue, as told from somebody else's job under the id.
local function is_same(job)
    return redis.call('HGET', job_key(job.id), 'type') == job.type
        and (redis.call('GET', key('payload:' .. job.id)) or '{}') == job.payload
end

for first = 3, #ARGV, WIDTH do
    local job = given(first)
    local holder = job.key ~= '' and (winners[job.key] or redis.call('HGET', key('keys'), job.key)) or nil
    if not holder and redis.call('EXISTS', job_key(job.id)) == 1 then
        holder = job.id
    end
    local word = 'created'
    if holder then
        if not (again and holder == job.id and is_same(job)) then
            local has_key = job.key ~= '' and (winners[job.key] == holder or redis.call('HGET', job_key(holder), 'key') == job.key)
            if not has_key then
                return {'taken', (first - 3) / WIDTH}
            end
            word = 'found'
        end
    else
        fresh[#fresh + 1] = first
        if job.key ~= '' then
            winners[job.key] = job.id
        end
    end
    local status = holder and redis.call('HGET', job_key(holder), 'status') or 'pending'
    answers[#answers + 1] = holder or job.id
    answers[#answers + 1] = status
    answers[#answers + 1] = word
end

local settings = {}
local function settings_of(job_type)
    local known = settings[job_type]
    if not known then
        known = redis.call('HMGET', key('settings:' .. job_type), unpack(DEFAULTS))
        settings[job_type] = known
        redis.call('ZADD', key('types'), 0, job_type)
    end
    return known
end

local last_seq = #fresh > 0 and redis.call('INCRBY', key('seq'), #fresh) or 0
for number, first in ipairs(fresh) do
    local id, payload, tags, unique = ARGV[first], ARGV[first + 6], ARGV[first + 7], ARGV[first + 8]
    local job = {type = ARGV[first + 1], listed_at = now_text, seq = last_seq - #fresh + number, created_at = now, rank = tonumber(ARGV[first + 2]),
        tags = tags ~= '' and tags or nil, run_at = tonumber(ARGV[first + 3]) or now + (tonumber(ARGV[first + 4]) or 0)}
    local defaults = settings_of(job.type)
    local fields = {'status', 'pending', 'type', job.type, 'seq', job.seq, 'created_at', now_text, 'max_attempts',
        ARGV[first + 5] ~= '' and ARGV[first + 5] or defaults[1] or 3}
    local function store(name, value)
        if value and value ~= '' then
            fields[#fields + 1] = name
            fields[#fields + 1] = value
        end
    end
    -- The three fields of a retry are one choice: naming one of them leaves out the defaults of the others.
    local names_retry = ARGV[first + 10] ~= '' or ARGV[first + 11] ~= '' or ARGV[first + 12] ~= ''
    for option = 2, 5 do
        local value = ARGV[first + 7 + option]
        store(DEFAULTS[option], value ~= '' and value or (option == 2 or not names_retry) and defaults[option])
    end
    store('dead_type', ARGV[first + 13])
    store('tags', tags)
    store('key', unique)
    if job.rank ~= 0 then
        store('rank', job.rank)
    end
    if job.run_at ~= now then
        store('run_at', job.run_at)
    end
    if job.run_at > now then
        store('reason', 'scheduled')
        store('wake_at', job.run_at)
        add(key('due'), job.run_at, id)
    else
        add(key('ready:' .. job.type), job.rank, ready_member(job, id))
    end
    if unique ~= '' then
        redis.call('HSET', key('keys'), unique, id)
    end
    if payload ~= '{}' then
        redis.call('SET', key('payload:' .. id), payload)
    end
    for _, tag in ipairs(tags_of(job)) do
        add(key('tags'), 0, tag)
    end
    enlist(id, job, 'pending')
    enlist_by_rank(id, job)
    enlist_by_run_at(id, job)
    tell(id, job, 'job:added')
    store('event', job.event)
    redis.call('HSET', job_key(id), unpack(fields))
    count_minute('added')
end
write_down()
log_told()
return answers
