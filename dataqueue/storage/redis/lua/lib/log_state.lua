-- include: lib/events.lua
-- How far the log reaches: the last position drawn, up to where events were removed, and the first position of a log that
-- began when there was none; zeros where there is none.
local function log_state()
    local state = redis.call('HMGET', log_key, 'last', 'dropped', 'born')
    return {state[1] or '0', state[2] or '0', state[3] or '0'}
end

-- Whether events after a position have been removed.
local function is_expired(after, state)
    return after < tonumber(state[2]) or after > 0 and after < tonumber(state[3])
end
