-- Forget minutes that no statistics look at any more, the oldest first.
-- KEYS[1] the namespace   ARGV[2] how many minutes are kept   ARGV[3] how many at most
-- Returns how many.
-- include: lib/instant.lua
-- include: lib/keys.lua
local first_kept = math.floor(now / 60000000) - tonumber(ARGV[2])
local old = redis.call('ZRANGEBYSCORE', key('minutes'), '-inf', '(' .. whole(first_kept), 'LIMIT', 0, tonumber(ARGV[3]))
for _, minute in ipairs(old) do
    redis.call('UNLINK', key('minute:' .. minute))
    redis.call('ZREM', key('minutes'), minute)
end
return #old
