-- include: lib/jobs.lua
-- Have `act` done with each job whose id is among the arguments from one on. Returns for each id the status that was found,
-- nil where there is no such job.
local function each_job(first, act)
    local found = {}
    for position = first, #ARGV do
        local job = job_of(ARGV[position])
        found[#found + 1] = job and job.status or false
        if job then
            act(ARGV[position], job)
        end
    end
    return found
end
