-- Tokens that belong to no job and ended longer ago than they are kept -> gone, the oldest first.
-- KEYS[1] the namespace   ARGV[2] for how long they are kept, microseconds   ARGV[3] how many at most
-- Returns how many.
-- include: lib/tokens.lua
local gone = 0
local horizon = '(' .. whole(now - tonumber(ARGV[2]))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('spent'), '-inf', horizon, 'LIMIT', 0, tonumber(ARGV[3]))) do
    -- While a job has not heard of its end, it is still wanted.
    if redis.call('EXISTS', key('awaiting:' .. id)) == 0 then
        remove_token(id, token_of(id) or {status = 'completed'})
        gone = gone + 1
    end
end
write_down()
return gone
