-- Workers that have not been heard of for long are forgotten, at most 1,000 of them.
-- KEYS[1] the namespace   ARGV[2] for how long, microseconds
-- Returns how many they were.
-- include: lib/workers.lua
local silent = redis.call('ZRANGEBYSCORE', workers_key, '-inf', '(' .. whole(now - tonumber(ARGV[2])), 'LIMIT', 0, 1000)
for _, id in ipairs(silent) do
    redis.call('ZREM', workers_key, id)
    redis.call('DEL', key('worker:' .. id))
end
return #silent
