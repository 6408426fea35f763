-- include: lib/jobs.lua
-- include: lib/writes.lua
-- Ends of invocations.
local LEFT_BY_A_LEASE = {'worker', 'locked_at', 'lease', 'cancel'}

-- Jobs whose invocation this very call has ended: a lease that is named twice is answered twice alike.
local ended_now = {}

-- The job that a lease (id and invocation) is held on, or nil and why not: lost; duplicate where the invocation was ended
-- by one of these events already; ok where this very call has ended it.
local function held_job(id, invocation, ended_by)
    local job = job_of(id)
    if job and job.status == 'processing' and job.invocation == tonumber(invocation) then
        return job
    end
    if job and ended_now[id] == tonumber(invocation) then
        return nil, 'ok'
    end
    if job and job.status ~= 'processing' and job.invocation == tonumber(invocation) and ended_by[job.ended_by] then
        return nil, 'duplicate'
    end
    return nil, 'lost'
end

local function let_go(id, job)
    remove(key('running'), id)
    leave(key('held:' .. job.worker), id)
    ended_now[id] = job.invocation
end
