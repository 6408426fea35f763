-- include: lib/steps.lua
-- include: lib/tokens.lua
-- What ties a job that goes to tokens: it waits for them, or made them. A script cuts so many ties; a job with more leaves
-- them loose, for upkeep/cut_loose.
local MOST_TIES = 100
local room_for_ties = MOST_TIES

-- It waits no more; a token that it made goes with it, and one that has not ended is timed out by whoever comes next.
local function cut_tie(id, tie)
    local token_id, name = token_of_tie(tie)
    if name ~= '' then
        redis.call('ZREM', key('awaiting:' .. token_id), waiter_of(id, name))
        return
    end
    local token = token_of(token_id)
    if not token then
        return
    end
    local is_waiting = token.status == 'waiting'
    if not is_waiting and redis.call('EXISTS', key('awaiting:' .. token_id)) == 0 then
        remove_token(token_id, token)
        return
    end
    redis.call('HDEL', token_key(token_id), 'job', 'name')
    if is_waiting then
        local timeout_at = whole(math.min(tonumber(token.timeout_at) or now, now))
        redis.call('HSET', token_key(token_id), 'timeout_at', timeout_at)
        add(key('timeouts'), timeout_at, token_id)
    else
        add(key('spent'), token.ended_at, token_id)
    end
end

-- Some of the ties under a key; says how many are left, and how many it were.
local function cut_ties(id, ties, most)
    local some = most > 0 and redis.call('ZRANGE', ties, 0, most - 1) or {}
    for _, tie in ipairs(some) do
        cut_tie(id, tie)
    end
    if #some > 0 then
        redis.call('ZREM', ties, unpack(some))
    end
    return redis.call('ZCARD', ties), #some
end

-- The ties of a job that goes; the position of its last event, which no other job has, names what is left of them: a job that
-- comes under the same id has ties of its own.
local function cut_or_loosen_ties(id, position)
    local ties = key('ties:' .. id)
    local left, done = cut_ties(id, ties, room_for_ties)
    room_for_ties = room_for_ties - done
    if left > 0 then
        local name = position .. ':' .. id
        redis.call('RENAME', ties, key('loose:' .. name))
        add(key('loose'), now_text, name)
    end
end
