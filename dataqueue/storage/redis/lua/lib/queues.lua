-- include: lib/keys.lua
-- include: lib/writes.lua
-- Where a job stands that nobody works on: among the ready ones of its type, or, with a wake_at, among those that become
-- due. One that waits without a wake_at stands in neither.
local function queue_up(id, job)
    if job.wake_at then
        add(key('due'), job.wake_at, id)
    else
        add(key('ready:' .. job.type), job.rank, ready_member(job, id))
    end
end

local function leave_queue(id, job)
    if job.wake_at then
        remove(key('due'), id)
    elseif job.status == 'pending' then
        remove(key('ready:' .. job.type), ready_member(job, id))
    end
end
