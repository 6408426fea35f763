-- Since when the oldest ready job has been ready: the oldest among the first five of each type and rank. A job that was
-- retried, or taken back, keeps its run_at and its place; it is ready since then, not since it was first.
-- KEYS[1] the namespace   ARGV[2] of how many types and ranks   ARGV[3…] two values a type: its name, and above which rank
-- to begin, -inf for all
-- Returns the instant of this call and the oldest one found, empty where there is none, both in microseconds; of how many it
-- looked; and two values, as it takes them, for each type that is not looked through yet.
-- include: lib/instant.lua
-- include: lib/keys.lua
local OF_EACH = 5
local left, oldest, looked_at = tonumber(ARGV[2]), nil, 0

local function look_at(member)
    local values = redis.call('HMGET', job_key(id_of_ready(member)), 'run_at', 'updated_at', 'created_at')
    local created_at = tonumber(values[3])
    if created_at then
        local since = math.max(tonumber(values[1] or created_at), tonumber(values[2] or created_at))
        oldest = math.min(oldest or since, since)
    end
end

-- Types take turns: each is looked at once before any is again, at its next rank.
local queue = {unpack(ARGV, 3)}
local at = 1
while at < #queue and looked_at < left do
    local job_type, above = queue[at], queue[at + 1]
    local found = redis.call('ZRANGEBYSCORE', key('ready:' .. job_type), above == '-inf' and above or '(' .. above, '+inf',
        'WITHSCORES', 'LIMIT', 0, OF_EACH)
    local rank = found[2]
    for position = 1, #found, 2 do
        if found[position + 1] == rank then
            look_at(found[position])
        end
    end
    if rank then
        looked_at = looked_at + 1
        queue[#queue + 1] = job_type
        queue[#queue + 1] = rank
    end
    at = at + 2
end
return {now_text, oldest and whole(oldest) or '', looked_at, unpack(queue, at)}
