-- Events of one job, newest first: back along the chain in which each names the one before it.
-- KEYS[1] the namespace   ARGV[2] the job   ARGV[3] the position to begin at; empty: the job's last
-- ARGV[4] down to this position, without it   ARGV[5] how many at most
-- Returns whether there is such a job; the position to go on at, nil where that was all; and the events (lib/events.lua),
-- also those of a job that was deleted.
-- include: lib/events.lua
local id, position = ARGV[2], ARGV[3]
local last = redis.call('HGET', job_key(id), 'event')
local found, data = {}, 0

if position == '' then
    position = last or redis.call('ZSCORE', key('gone'), id)
end
while position and tonumber(position) > tonumber(ARGV[4]) do
    if #found >= tonumber(ARGV[5]) or data >= MOST_DATA then
        return {last and 1 or 0, position, found}
    end
    local entry = redis.call('XRANGE', events_key, position .. '-0', position .. '-0')[1]
    if not entry then
        break
    end
    found[#found + 1] = entry
    data = data + #entry[2][DATA]
    position = entry[2][BEFORE] ~= '' and entry[2][BEFORE]
end
return {last and 1 or 0, false, found}
