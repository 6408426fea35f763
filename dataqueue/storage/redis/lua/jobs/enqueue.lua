-- Nothing -> pending, all of them or none.
-- KEYS[1] the namespace   ARGV[2] not empty: some may have been stored by an earlier call whose reply was lost
-- ARGV[3…] the jobs, and returns what was not simply stored of them: see lib/adding.lua. Or taken and the number of the job
-- whose id another job has: then nothing was stored.
-- include: lib/adding.lua
local answers, taken = add_jobs(ARGV, 3, ARGV[2] ~= '')
if not answers then
    return {'taken', taken}
end
write_down()
log_told()
return answers
