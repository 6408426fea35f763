-- Processing -> processing: progress and output are kept, and told, as is that the deadline moved.
-- KEYS[1] the namespace   ARGV[2…] five values a lease: id, invocation, and, each empty where nothing is said of it,
-- progress, output, by how many milliseconds the deadline lies ahead
-- Returns a word a lease: ok or lost.
-- include: lib/leases.lua
-- include: lib/log.lua
local NOBODY = {}
local answers = {}

local function note(id, job, progress, output, prolonged)
    local fields = {'updated_at', now_text}
    if progress ~= '' then
        tell(id, job, 'job:progress', '{"progress":' .. progress .. '}')
        fields[3], fields[4] = 'progress', progress
    end
    if output ~= '' then
        tell(id, job, 'job:output', '{"output":' .. output .. '}')
        redis.call('SET', key('output:' .. id), output)
    end
    if prolonged ~= '' then
        tell(id, job, 'job:prolonged', '{"prolonged_ms":' .. prolonged .. '}')
    end
    redis.call('HSET', job_key(id), 'event', job.event or '', unpack(fields))
end

for first = 2, #ARGV, 5 do
    local job, why = held_job(ARGV[first], ARGV[first + 1], NOBODY)
    if job then
        note(ARGV[first], job, ARGV[first + 2], ARGV[first + 3], ARGV[first + 4])
    end
    answers[#answers + 1] = job and 'ok' or why
end
log_told()
return answers
