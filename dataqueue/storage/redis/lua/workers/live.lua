-- Workers that were heard of lately.
-- KEYS[1] the namespace   ARGV[2] for how long one is live
-- Returns each as read (lib/workers.lua).
-- include: lib/workers.lua
local found = {}
local live = redis.call('ZRANGEBYSCORE', workers_key, '(' .. whole(now - tonumber(ARGV[2])), '+inf', 'WITHSCORES')
for position = 1, #live, 2 do
    found[#found + 1] = worker_as_read(live[position], tonumber(live[position + 1]))
end
return found
