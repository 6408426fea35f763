-- A live worker is to take no more jobs.
-- KEYS[1] the namespace   ARGV[2] the worker   ARGV[3] for how long one is live
-- Returns it as read (lib/workers.lua); nil when there is no live one of that id.
-- include: lib/workers.lua
local beat = last_beat(ARGV[2], tonumber(ARGV[3]))
if not beat then
    return false
end
redis.call('HSET', key('worker:' .. ARGV[2]), 'draining', 1)
return worker_as_read(ARGV[2], beat)
