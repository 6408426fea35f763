-- Completed, failed or cancelled -> gone, with result and idempotency key.
-- KEYS[1] the namespace   ARGV[2…] ids
-- Returns the status found of each, nil where there is no such job.
-- include: lib/by_id.lua
-- include: lib/deleting.lua
local found = each_job(2, delete_job)
write_down()
forget_names()
return found
