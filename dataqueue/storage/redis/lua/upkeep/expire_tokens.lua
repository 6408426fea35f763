-- Waiting tokens whose time is up -> timed_out, and the jobs that wait for them resume; before that, jobs that have not heard
-- yet of the end of a token: whoever ended it was cut off.
-- KEYS[1] the namespace   ARGV[2] how many tokens and steps that hear of one at most
-- Returns how many tokens were timed out, how many steps heard of an end, how many jobs resume, whether there is more to do,
-- the microseconds until the next token is up (nil where none is), and the types of the jobs that resume.
-- include: lib/waking.lua
local room, count, heard = math.min(tonumber(ARGV[2]), MOST_WAITERS), 0, 0
local waking, timeouts = key('waking'), key('timeouts')

local function spread(id, token)
    local many = wake_waiters(id, token, room)
    heard = heard + many
    room = room - many - 1
end

for _, id in ipairs(redis.call('ZRANGE', waking, 0, room - 1)) do
    local token = room > 0 and token_of(id)
    if token and token.ended_at then
        spread(id, token)
    elseif room > 0 then
        remove(waking, id)
    end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', timeouts, '-inf', now_text, 'LIMIT', 0, math.max(room, 0))) do
    local token = room > 0 and token_of(id)
    if token then
        count = count + 1
        end_token(id, token, 'timed_out')
        spread(id, token)
    elseif room > 0 then
        remove(timeouts, id)
    end
end
write_down()
log_told()
local next_up = redis.call('ZRANGE', timeouts, 0, 0, 'WITHSCORES')[2]
local ahead = next_up and tonumber(next_up) - now or false
local is_more = redis.call('EXISTS', waking) == 1 or ahead and ahead <= 0
return {count, heard, resumed, is_more and 1 or 0, ahead, unpack(woken_types())}
