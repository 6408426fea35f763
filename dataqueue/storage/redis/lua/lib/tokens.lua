-- include: lib/keys.lua
-- include: lib/instant.lua
-- include: lib/log.lua
-- include: lib/writes.lua
-- A token as a script handles it; what is not stored is nil.
local TOKEN_FIELDS = {'status', 'created_at', 'timeout_at', 'tags', 'job', 'ended_at'}

local function token_key(id)
    return key('token:' .. id)
end

-- nil when there is none.
local function token_of(id)
    local values = redis.call('HMGET', token_key(id), unpack(TOKEN_FIELDS))
    if not values[1] then
        return nil
    end
    local token = {}
    for position, name in ipairs(TOKEN_FIELDS) do
        token[name] = values[position] or nil
    end
    return token
end

-- What a completed token was completed with.
local function result_of(id)
    return redis.call('GET', key('result:' .. id)) or 'null'
end

-- A token as read: its id, its hash as pairs, and what it was completed with.
local function token_as_read(id)
    return {id, redis.call('HGETALL', token_key(id)), redis.call('GET', key('result:' .. id))}
end

local function data_of_token(id)
    return '{"token_id":"' .. id .. '"}'
end

-- Tell of a token what happened: among what happened to its job, if it has one.
local function tell_of_token(id, token, name)
    local values = token.job and redis.call('HMGET', job_key(token.job), 'type', 'event') or {}
    if values[1] then
        local job = {type = values[1], event = values[2]}
        tell(token.job, job, name, data_of_token(id), token.tags or '')
        redis.call('HSET', job_key(token.job), 'event', job.event)
    else
        tell('', {type = ''}, name, data_of_token(id), token.tags or '')
    end
end

-- Nothing -> waiting. `timeout` is in microseconds, empty for none; `tags` JSON, empty for none; job and name of the step for
-- one that a job makes, else nil. That it was made is for the caller to tell.
local function add_token(id, timeout, tags, job_id, name)
    local fields = {'status', 'waiting', 'created_at', now_text}
    local function store(field, value)
        if value and value ~= '' then
            fields[#fields + 1] = field
            fields[#fields + 1] = value
        end
    end
    local timeout_at = timeout ~= '' and whole(now + tonumber(timeout)) or nil
    store('timeout_at', timeout_at)
    store('tags', tags)
    store('job', job_id)
    store('name', name)
    redis.call('HSET', token_key(id), unpack(fields))
    add(key('tk:waiting'), now_text, id)
    if timeout_at then
        add(key('timeouts'), timeout_at, id)
    end
    if job_id then
        add(key('ties:' .. job_id), now_text, id)
    end
end

-- Waiting -> completed or timed_out. `output` only of one that is completed. Whoever waits is told by lib/waking.lua.
local function end_token(id, token, status, output)
    redis.call('HSET', token_key(id), 'status', status, 'ended_at', now_text)
    if output then
        redis.call('SET', key('result:' .. id), output)
    end
    if token.timeout_at then
        remove(key('timeouts'), id)
    end
    remove(key('tk:waiting'), id)
    add(key('tk:' .. status), token.created_at, id)
    if not token.job then
        add(key('spent'), now_text, id)
    end
    tell_of_token(id, token, status == 'completed' and 'token:completed' or 'token:expired')
    token.status, token.ended_at = status, now_text
end

local function is_up(token)
    return token.status == 'waiting' and token.timeout_at and tonumber(token.timeout_at) <= now
end

-- Ended -> gone. Nothing waits for it any more.
local function remove_token(id, token)
    redis.call('UNLINK', token_key(id), key('result:' .. id))
    remove(key('tk:' .. token.status), id)
    remove(key('spent'), id)
    remove(key('waking'), id)
end
