-- Processing -> pending while an attempt is left and the failure may be retried, else failed with its dead letter;
-- cancelled where that was requested.
-- KEYS[1] the namespace   ARGV[2…] seven values a lease: id, invocation, message and type (JSON), reason, microseconds
-- until another attempt (empty: that would be pointless), what a dead letter would be called
-- Returns a word a lease: ok, duplicate or lost.
-- include: lib/cancelling.lua
-- include: lib/failing.lua
local ENDED_BY = {['job:failed'] = true, ['job:cancelled'] = true}
local answers = {}
for first = 2, #ARGV, 7 do
    local id = ARGV[first]
    local job, why = held_job(id, ARGV[first + 1], ENDED_BY)
    if job and job.cancel then
        end_cancelled(id, job, 0)
    elseif job then
        fail_job(id, job, ARGV[first + 2], ARGV[first + 3], ARGV[first + 4], tonumber(ARGV[first + 5]), ARGV[first + 6])
    end
    answers[#answers + 1] = job and 'ok' or why
end
write_down()
log_told()
return answers
