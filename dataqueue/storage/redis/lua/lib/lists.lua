-- include: lib/keys.lua
-- include: lib/writes.lua
-- The lists that a job is in: of its status, and of its status and its type, and each of its tags.
local names_of_lists = {}

local function tags_of(job)
    return job.tags and cjson.decode(job.tags) or {}
end

-- The two lists of every job, whose names are put together once.
local function lists_of(status, job_type)
    local of_status = names_of_lists[status]
    if not of_status then
        of_status = {name = key('st:' .. status)}
        names_of_lists[status] = of_status
    end
    local of_type = of_status[job_type]
    if not of_type then
        of_type = key('ty:' .. status .. ':' .. job_type)
        of_status[job_type] = of_type
    end
    return of_status.name, of_type
end

local function enlist(id, job, status, member)
    member = member or list_member(job, id)
    local of_status, of_type = lists_of(status, job.type)
    add(of_status, job.listed_at, member)
    add(of_type, job.listed_at, member)
    if job.tags then
        for _, tag in ipairs(tags_of(job)) do
            add(key('tg:' .. status .. ':' .. tag), job.listed_at, member)
        end
    end
end

local function strike(id, job, status, member)
    member = member or list_member(job, id)
    local of_status, of_type = lists_of(status, job.type)
    remove(of_status, member)
    remove(of_type, member)
    if job.tags then
        for _, tag in ipairs(tags_of(job)) do
            remove(key('tg:' .. status .. ':' .. tag), member)
        end
    end
end

local function move(id, job, from, to)
    local member = list_member(job, id)
    strike(id, job, from, member)
    enlist(id, job, to, member)
end

-- Of those that hold whatever the status: ranks other than zero, and jobs that were not to run at once.
local function enlist_by_rank(id, job)
    if job.rank ~= 0 then
        add(key('rk:' .. job.rank), job.listed_at, list_member(job, id))
    end
end

local function strike_by_rank(id, job)
    if job.rank ~= 0 then
        remove(key('rk:' .. job.rank), list_member(job, id))
    end
end

local function enlist_by_run_at(id, job)
    if job.run_at ~= job.created_at then
        add(key('later'), job.listed_at, list_member(job, id))
    end
end

local function strike_by_run_at(id, job)
    if job.run_at ~= job.created_at then
        remove(key('later'), list_member(job, id))
    end
end

local function relist_by_rank(id, job, rank)
    strike_by_rank(id, job)
    job.rank = rank
    enlist_by_rank(id, job)
end

local function relist_by_run_at(id, job, run_at)
    strike_by_run_at(id, job)
    job.run_at = run_at
    enlist_by_run_at(id, job)
end
