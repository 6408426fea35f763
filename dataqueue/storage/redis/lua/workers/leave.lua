-- A worker that has stopped is forgotten.
-- KEYS[1] the namespace   ARGV[2] the worker
-- include: lib/workers.lua
redis.call('ZREM', workers_key, ARGV[2])
redis.call('DEL', key('worker:' .. ARGV[2]))
