-- Pending -> pending with new values.
-- KEYS[1] the namespace   ARGV[2…] the edit (lib/editing.lua), then ids, each once
-- Returns the status found of each, nil where there is no such job.
-- include: lib/by_id.lua
-- include: lib/editing.lua
local edit, first = edit_from(2)
local found = each_job(first, function(id, job) edit_job(id, job, edit) end)
write_down()
forget_names()
log_told()
return found
