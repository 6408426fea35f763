-- Cancel, retry, edit or delete jobs that match a filter, newest first, from after a place; each as lua/lib/cancelling.lua,
-- retrying.lua, editing.lua and deleting.lua say.
-- KEYS[1] the namespace   ARGV[2] the filter (lib/filters.lua)   ARGV[3] [4] created_at and seq of the place, or empty
-- ARGV[5] how many at most   ARGV[6] how many may be looked at   ARGV[7] the verb; empty: they are only counted
-- ARGV[8…] the edit
-- Returns why it ended (end, on or more, see lib/walks.lua), created_at and seq of the last job that is done with, how many
-- were looked at, matched and were changed, then the types of those.
-- include: lib/walks.lua
-- include: lib/cancelling.lua
-- include: lib/retrying.lua
-- include: lib/editing.lua
-- include: lib/deleting.lua
local limit, verb = tonumber(ARGV[5]), ARGV[7]
local matched = {}
local wanted, window = asked_for()
local why, created_at, seq, looked_at = walk_over(wanted, window, tonumber(ARGV[6]), function(id)
    if #matched == limit then
        return false
    end
    matched[#matched + 1] = id
    return true
end)

local change, edit = ({cancel = cancel_job, retry = retry_job, edit = edit_job, delete = delete_job})[verb], nil
if verb == 'edit' then
    edit = edit_from(8)
end
local changed, types, seen = 0, {}, {}
for _, id in ipairs(change and matched or {}) do
    local job = job_of(id)
    if job and change(id, job, edit) then
        changed = changed + 1
        if not seen[job.type] then
            seen[job.type] = true
            types[#types + 1] = job.type
        end
    end
end
write_down()
forget_names()
log_told()
return {why, created_at, seq, looked_at, #matched, changed, unpack(types)}
