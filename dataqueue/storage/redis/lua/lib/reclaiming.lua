-- include: lib/cancelling.lua
-- include: lib/failing.lua
-- include: lib/releasing.lua
-- Take a job from a worker that has fallen silent: processing -> pending, the attempt given back and the crash counted; with
-- more than max_crashes -> failed, with its dead letter; cancelled where that was requested.
-- For the caller to end with: write_down(), log_told().
local function reclaim_job(id, job, max_crashes, dead_id)
    if job.cancel then
        end_cancelled(id, job, 1)
    elseif job.crashes >= max_crashes then
        local message = '"the worker running this job was lost ' .. job.crashes + 1 .. ' times"'
        fail_job(id, job, message, '"Crashed"', 'crashed', nil, dead_id)
    else
        give_back(id, job, 'job:reclaimed', 'crashes', job.crashes + 1, 'invocation', job.invocation + 1)
    end
end
