-- Processing -> pending for what a worker was given without hearing of it: its claims whose reply was lost.
-- KEYS[1] the namespace   ARGV[2] the worker   ARGV[3] how many at most   ARGV[4…] id and invocation of each that it knows
-- Returns how many.
-- include: lib/releasing.lua
local known, recalled = {}, 0
for first = 4, #ARGV, 2 do
    known[ARGV[first] .. ' ' .. ARGV[first + 1]] = true
end
for _, id in ipairs(redis.call('SMEMBERS', key('held:' .. ARGV[2]))) do
    if recalled == tonumber(ARGV[3]) then
        break
    end
    local job = job_of(id)
    if job and job.status == 'processing' and job.worker == ARGV[2] and not known[id .. ' ' .. job.invocation] then
        release_job(id, job)
        recalled = recalled + 1
    end
end
write_down()
log_told()
return recalled
