-- include: lib/jobs.lua
-- include: lib/lists.lua
-- include: lib/log.lua
-- include: lib/names.lua
-- include: lib/queues.lua
-- An edit as Python sends it (dataqueue/storage/redis/edit.py), from an argument on: payload, rank, tags (JSON), each empty
-- where it stays; whether run_at moves: empty, at or in; the instant or the microseconds from now, empty for now; whether
-- attempts are limited anew, and to how many, empty for what the type says; the members of `changes` that are known
-- beforehand, as JSON; how many other fields there are, then the name and the value of each, empty where it goes.
-- Returns the edit and the number of the argument after it.
local function edit_from(first)
    local edit = {payload = ARGV[first], rank = tonumber(ARGV[first + 1]), tags = ARGV[first + 2], moves = ARGV[first + 3],
        by = tonumber(ARGV[first + 4]), limits = ARGV[first + 5] ~= '', max_attempts = ARGV[first + 6],
        changes = ARGV[first + 7], cleared = {}, stored = {}}
    local after = first + 9 + 2 * tonumber(ARGV[first + 8])
    for position = first + 9, after - 1, 2 do
        local value = ARGV[position + 1]
        if value == '' then
            edit.cleared[#edit.cleared + 1] = ARGV[position]
        else
            edit.stored[#edit.stored + 1] = ARGV[position]
            edit.stored[#edit.stored + 1] = value
        end
    end
    return edit, after
end

local function relist_tags(id, job, tags)
    local had, has, member = {}, {}, list_member(job, id)
    for _, tag in ipairs(tags_of(job)) do
        had[tag] = true
    end
    job.tags = tags ~= '[]' and tags or nil
    for _, tag in ipairs(tags_of(job)) do
        has[tag] = true
        if not had[tag] then
            add(key('tg:pending:' .. tag), job.listed_at, member)
            add(key('tags'), 0, tag)
        end
    end
    for tag in pairs(had) do
        if not has[tag] then
            remove(key('tg:pending:' .. tag), member)
            left_tag(tag)
        end
    end
end

local function starts_at(edit)
    if edit.moves == 'at' then
        return edit.by
    end
    return now + (edit.by or 0)
end

local function limit_of(job, edit)
    if edit.max_attempts ~= '' then
        return edit.max_attempts
    end
    return redis.call('HGET', key('settings:' .. job.type), 'max_attempts') or '3'
end

-- Edit a job, as job_of reads it: pending -> pending with new values. Says whether it did; in another status it is left
-- alone. One job may be edited but once in a script. For the caller to end with: write_down(), forget_names(), log_told().
local function edit_job(id, job, edit)
    if job.status ~= 'pending' then
        return false
    end
    local gone, fields, changes = {unpack(edit.cleared)}, {'updated_at', now_text, unpack(edit.stored)}, {}
    local function store(name, value)
        if value then
            fields[#fields + 1] = name
            fields[#fields + 1] = value
        else
            gone[#gone + 1] = name
        end
    end
    if edit.changes ~= '' then
        changes[1] = edit.changes
    end
    local changes_place = edit.rank or edit.moves ~= ''
    if changes_place then
        leave_queue(id, job)
    end
    if edit.rank then
        relist_by_rank(id, job, edit.rank)
        store('rank', job.rank ~= 0 and job.rank or nil)
    end
    if edit.moves ~= '' then
        relist_by_run_at(id, job, starts_at(edit))
        local is_ahead = job.run_at > now
        job.wake_at = is_ahead and job.run_at or nil
        store('run_at', job.run_at ~= job.created_at and job.run_at or nil)
        store('wake_at', job.wake_at)
        store('reason', is_ahead and (job.reason == 'retry' and 'retry' or 'scheduled') or nil)
        changes[#changes + 1] = '"run_at":"' .. wire(job.run_at) .. '"'
    end
    if changes_place then
        queue_up(id, job)
    end
    if edit.limits then
        local most = limit_of(job, edit)
        store('max_attempts', most)
        changes[#changes + 1] = '"max_attempts":' .. most
    end
    if edit.tags ~= '' then
        relist_tags(id, job, edit.tags)
        store('tags', job.tags)
    end
    if edit.payload == '{}' then
        redis.call('DEL', key('payload:' .. id))
    elseif edit.payload ~= '' then
        redis.call('SET', key('payload:' .. id), edit.payload)
    end
    tell(id, job, 'job:edited', '{"changes":{' .. table.concat(changes, ',') .. '}}')
    store('event', job.event)
    if #gone > 0 then
        redis.call('HDEL', job_key(id), unpack(gone))
    end
    redis.call('HSET', job_key(id), unpack(fields))
    return true
end
