-- include: lib/steps.lua
-- include: lib/tokens.lua
-- What a job waits for, as it stands in its step log. Waits come as three values each: the name, how (until, delay or token),
-- and the instant, the microseconds from now, or the id of the token.
local WAIT_WIDTH = 3

local function new_wait(place, how, value)
    if how == 'token' then
        return {place = place, kind = 'token', of = value}
    end
    return {place = place, kind = 'sleep', of = whole(how == 'delay' and now + tonumber(value) or tonumber(value))}
end

-- The end of an open wait for a token, where that has ended, or there is none.
local function close_wait(step)
    local token = token_of(step.of)
    if not token or token.status == 'timed_out' then
        step.outcome = 'timeout'
    elseif token.status == 'completed' then
        step.outcome, step.value = 'ok', result_of(step.of)
    end
end

-- Await what a step waits for, from this invocation on. Returns whether that is over; if not, until when it sleeps, or for
-- which token it waits.
local function await(id, invocation, name, step)
    if step.outcome then
        return true
    end
    step.awaited_by = invocation
    if step.kind == 'token' then
        close_wait(step)
    end
    redis.call('HSET', log_of(id), name, packed_step(step))
    if step.kind == 'sleep' then
        local ends_at = tonumber(step.of)
        return ends_at <= now, ends_at
    elseif step.outcome then
        return true
    end
    redis.call('ZADD', key('awaiting:' .. step.of), now_text, waiter_of(id, name))
    add(key('ties:' .. id), 0, tie_of(step.of, name))
    return false, nil, step.of
end

-- Store what a job is to wait for, from an argument on, and look whether any of it is over. What is in the log goes on as it
-- stands there; a name with something of another kind is passed over. Returns whether there is anything left to wait for;
-- until when at most, and the first token, nil each where there is none; and how many steps are in the log.
local function store_waits(id, invocation, first, count)
    local stored, is_over, wake_at, token_id = redis.call('HLEN', log_of(id)), false, nil, nil
    for position = first, first + (count - 1) * WAIT_WIDTH, WAIT_WIDTH do
        local name, how = ARGV[position], ARGV[position + 1]
        local step = step_of(id, name)
        if not step then
            step = new_wait(stored, how, ARGV[position + 2])
            stored = stored + 1
        end
        if step.kind == (how == 'token' and 'token' or 'sleep') then
            local ended, ends_at, token = await(id, invocation, name, step)
            is_over, token_id = is_over or ended, token_id or token
            wake_at = ends_at and math.min(wake_at or ends_at, ends_at) or wake_at
        end
    end
    return not is_over and (wake_at or token_id) and true or false, wake_at, token_id, stored
end
