-- include: lib/log.lua
-- include: lib/lists.lua
-- include: lib/minutes.lua
-- Nothing -> pending. Jobs come as four values each: id, type, payload, and what else was asked for as JSON, empty where
-- nothing was: rank, run_at or delay, max_attempts, timeout_ms, force_kill (1) as numbers; tags (a JSON array), key, retry_delay,
-- retry_backoff, retry_delay_max, dead_type as texts; reusable: true where a job that is gone may have had the id.
local WIDTH = 4
local SETTINGS = {'max_attempts', 'timeout_ms', 'retry_delay', 'retry_backoff', 'retry_delay_max'}
local NOTHING, settings = {}, {}

-- A repeat of the very same enqueue, as told from somebody else's job under an id of the caller's own. One that we made has
-- nobody else, even where it was edited since.
local function is_same(values, first)
    return redis.call('HGET', job_key(values[first]), 'type') == values[first + 1]
        and (redis.call('GET', key('payload:' .. values[first])) or '{}') == values[first + 2]
end

local function settings_of(job_type)
    local known = settings[job_type]
    if not known then
        known = redis.call('HMGET', key('settings:' .. job_type), unpack(SETTINGS))
        settings[job_type] = known
        redis.call('ZADD', key('types'), 0, job_type)
    end
    return known
end

-- What the job says for itself, else what is set for its type. The three fields of a retry are one choice: naming one of
-- them leaves out what is set for the others.
local function store_settings(fields, asked, set)
    local names_retry = asked.retry_delay or asked.retry_backoff or asked.retry_delay_max
    for position = 2, #SETTINGS do
        local name = SETTINGS[position]
        local value = asked[name] or (position == 2 or not names_retry) and set[position]
        if value then
            fields[#fields + 1] = name
            fields[#fields + 1] = value
        end
    end
end

-- Store the jobs of a list of values, from a place in it on. `again`: some may have been stored by an earlier call whose reply
-- was lost. Returns what was not simply stored, four values each: number of the job from 0, the id that stands for it, its
-- status, and created (by the earlier call) or found (the job with its key); or nil and the number of the job whose id, the
-- caller's own, another job has: then nothing is stored. For the caller to end with: write_down(), log_told().
local function add_jobs(values, from, again)
    local answers, fresh, options, winners = {}, {}, {}, {}
    local function answer(first, holder, word)
        local status = redis.call('HGET', job_key(holder), 'status') or 'pending'
        for _, value in ipairs({(first - from) / WIDTH, holder, status, word}) do
            answers[#answers + 1] = value
        end
    end
    for first = from, #values, WIDTH do
        local id, asked = values[first], values[first + 3] ~= '' and cjson.decode(values[first + 3]) or NOTHING
        local unique = asked.key
        local holder = unique and (winners[unique] or redis.call('HGET', key('keys'), unique)) or nil
        if not holder and redis.call('EXISTS', job_key(id)) == 1 then
            holder = id
        end
        if not holder then
            fresh[#fresh + 1], options[first] = first, asked
            if unique then
                winners[unique] = id
            end
        elseif again and holder == id and (not asked.reusable or is_same(values, first)) then
            answer(first, holder, 'created')
        elseif unique and (winners[unique] == holder or redis.call('HGET', job_key(holder), 'key') == unique) then
            answer(first, holder, 'found')
        else
            return nil, (first - from) / WIDTH
        end
    end
    local payload_key, due_key, last_seq = key('payload:'), key('due'), #fresh > 0 and redis.call('INCRBY', key('seq'), #fresh)
    for number, first in ipairs(fresh) do
        local id, payload, asked = values[first], values[first + 2], options[first]
        local job = {type = values[first + 1], listed_at = now_text, seq = last_seq - #fresh + number, created_at = now,
            rank = asked.rank or 0, tags = asked.tags, run_at = asked.run_at or now + (asked.delay or 0),
            event = asked.reusable and redis.call('ZSCORE', key('gone'), id) or nil}
        local set = settings_of(job.type)
        tell(id, job, 'job:added')
        local fields = {'status', 'pending', 'type', job.type, 'seq', job.seq, 'created_at', now_text, 'event', job.event,
            'max_attempts', asked.max_attempts or set[1] or 3}
        local function store(name, value)
            if value then
                fields[#fields + 1] = name
                fields[#fields + 1] = value
            end
        end
        store_settings(fields, asked, set)
        store('dead_type', asked.dead_type)
        store('force_kill', asked.force_kill)
        store('tags', asked.tags)
        store('key', asked.key)
        store('rank', asked.rank)
        store('run_at', job.run_at ~= now and job.run_at)
        if job.run_at > now then
            store('reason', 'scheduled')
            store('wake_at', job.run_at)
            add(due_key, job.run_at, id)
        else
            add(key('ready:' .. job.type), job.rank, ready_member(job, id))
        end
        redis.call('HSET', job_key(id), unpack(fields))
        if asked.key then
            redis.call('HSET', key('keys'), asked.key, id)
        end
        if payload ~= '{}' then
            redis.call('SET', payload_key .. id, payload)
        end
        for _, tag in ipairs(tags_of(job)) do
            add(key('tags'), 0, tag)
        end
        enlist(id, job, 'pending')
        enlist_by_rank(id, job)
        enlist_by_run_at(id, job)
        count_minute('added')
    end
    return answers
end
