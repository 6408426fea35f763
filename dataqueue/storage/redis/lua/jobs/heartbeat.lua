-- Processing: the lease is extended; where a cancel was requested -> cancelled, and the invocation moves on.
-- KEYS[1] the namespace   ARGV[2] the lease, microseconds from now   ARGV[3…] id and invocation of each
-- Returns a word a lease: ok, cancel or lost.
-- include: lib/cancelling.lua
local lease_ends = whole(now + tonumber(ARGV[2]))
local answers = {}

local function beat(id, invocation)
    local found = redis.call('HMGET', job_key(id), 'status', 'invocation', 'cancel')
    if found[1] ~= 'processing' or tonumber(found[2]) ~= tonumber(invocation) then
        return 'lost'
    end
    if found[3] then
        end_cancelled(id, job_of(id), 1)
        return 'cancel'
    end
    redis.call('HSET', job_key(id), 'lease', lease_ends)
    add(key('running'), lease_ends, id)
    return 'ok'
end

for first = 3, #ARGV, 2 do
    answers[#answers + 1] = beat(ARGV[first], ARGV[first + 1])
end
write_down()
log_told()
return answers
