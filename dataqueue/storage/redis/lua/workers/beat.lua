-- A worker is there. One that was silent for so long that it counted as gone starts anew.
-- KEYS[1] the namespace   ARGV[2] the worker   ARGV[3] its kind   ARGV[4] its types, JSON   ARGV[5] for how long one is live
-- Returns whether it drains.
-- include: lib/workers.lua
local id, name = ARGV[2], key('worker:' .. ARGV[2])
if not last_beat(id, tonumber(ARGV[5])) then
    redis.call('HDEL', name, 'draining')
    redis.call('HSET', name, 'started_at', now_text)
end
redis.call('HSET', name, 'kind', ARGV[3], 'types', ARGV[4])
redis.call('ZADD', workers_key, 'GT', now_text, id)
return redis.call('HEXISTS', name, 'draining')
