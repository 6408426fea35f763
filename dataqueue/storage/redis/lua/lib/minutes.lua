-- include: lib/keys.lua
-- include: lib/instant.lua
-- include: lib/writes.lua
-- What happens in a minute, for the statistics of the last hour.
local this_minute = whole(math.floor(now / 60000000))
local minute_key = key('minute:' .. this_minute)

local function count_minute(what)
    local fields = counting[minute_key]
    if not fields then
        add(key('minutes'), this_minute, this_minute)
        fields = {}
        counting[minute_key] = fields
    end
    fields[what] = (fields[what] or 0) + 1
end

-- Eight buckets an octave of milliseconds; 0: a millisecond or less (dataqueue/domain/counts.py).
local function count_latency(job)
    local milliseconds = (now - math.max(job.run_at, job.created_at)) / 1000
    local bucket = math.floor(8 * math.log(math.max(milliseconds, 1)) / math.log(2))
    count_minute('took:' .. math.min(math.max(bucket, 0), 400))
end
