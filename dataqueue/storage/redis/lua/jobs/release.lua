-- Processing -> pending, the attempt given back; cancelled where that was requested.
-- KEYS[1] the namespace   ARGV[2…] id and invocation of each
-- Returns a word a lease: ok, duplicate or lost.
-- include: lib/releasing.lua
local ENDED_BY = {['job:released'] = true, ['job:cancelled'] = true}
local answers = {}
for first = 2, #ARGV, 2 do
    local job, why = held_job(ARGV[first], ARGV[first + 1], ENDED_BY)
    if job then
        release_job(ARGV[first], job)
    end
    answers[#answers + 1] = job and 'ok' or why
end
write_down()
log_told()
return answers
