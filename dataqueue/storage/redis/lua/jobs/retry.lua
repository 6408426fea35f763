-- Failed or cancelled -> pending now, one attempt granted where none is left, crashes forgiven.
-- KEYS[1] the namespace   ARGV[2…] ids
-- Returns the status found of each, nil where there is no such job.
-- include: lib/by_id.lua
-- include: lib/retrying.lua
local found = each_job(2, retry_job)
write_down()
log_told()
return found
