-- include: lib/keys.lua
-- A field of settings:<type> that says nothing: while the key is there, the type is listed.
local MARK = 'is_set'

local function list_and_pause(job_type, paused)
    redis.call(paused and 'SADD' or 'SREM', key('paused'), job_type)
    redis.call('ZADD', key('types'), 0, job_type)
end
