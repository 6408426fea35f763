-- Completed, failed or cancelled for longer than jobs of that status are kept -> gone. Walks status by status over those
-- that were created so long ago, oldest first, from after a place: a status by its number, a created_at (empty: its
-- beginning), and how many that were created then have been passed. One that was created long ago and ended lately is
-- passed, and met again on the next walk.
-- KEYS[1] the namespace   ARGV[2] how many at most go   ARGV[3] how many at most are looked at   ARGV[4], [5], [6] the place
-- ARGV[7…] status and how many microseconds it is kept, of each
-- Returns how many went, how many were looked at, and the place it has got to, 0 as status when that is the end.
-- include: lib/instant.lua
-- include: lib/deleting.lua
local most_gone, most_looked_at = tonumber(ARGV[2]), tonumber(ARGV[3])
local number, created_at, passed = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local gone, looked_at = 0, 0

-- Whether the walk over one status came to its end.
local function walk(status, horizon)
    local from = created_at == '' and '-inf' or created_at
    local room = most_looked_at - looked_at
    local found = redis.call('ZRANGEBYSCORE', key('st:' .. status), from, '(' .. whole(horizon), 'WITHSCORES', 'LIMIT',
        passed, room)
    for position = 1, #found, 2 do
        if gone == most_gone then
            return false
        end
        local id, score = id_of_list(found[position]), found[position + 1]
        if score ~= created_at then
            created_at, passed = score, 0
        end
        looked_at = looked_at + 1
        local ended_at = tonumber(redis.call('HGET', job_key(id), 'ended_at') or nil)
        if ended_at and ended_at < horizon and delete_job(id, job_of(id)) then
            gone = gone + 1
        else
            passed = passed + 1
        end
    end
    return #found < room * 2
end

while number > 0 and looked_at < most_looked_at and walk(ARGV[5 + 2 * number], now - tonumber(ARGV[6 + 2 * number])) do
    number, created_at, passed = number + 1, '', 0
    if not ARGV[5 + 2 * number] then
        number = 0
    end
end
write_down()
forget_names()
return {gone, looked_at, number, created_at, passed}
