-- include: lib/keys.lua
-- include: lib/instant.lua
local workers_key = key('workers')

-- When a worker was last heard of, if that is so lately (microseconds) that it counts as live.
local function last_beat(id, live_for)
    local beat = tonumber(redis.call('ZSCORE', workers_key, id))
    return beat and beat > now - live_for and beat
end

-- A worker as read: id, kind, types as JSON, when it started and last beat, whether it drains, how many jobs it holds.
local function worker_as_read(id, beat)
    local said = redis.call('HMGET', key('worker:' .. id), 'kind', 'types', 'started_at', 'draining')
    return {id, said[1], said[2], said[3], whole(beat), said[4], redis.call('SCARD', key('held:' .. id))}
end
