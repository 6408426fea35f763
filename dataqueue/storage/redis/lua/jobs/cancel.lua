-- Pending or waiting -> cancelled. Processing: marked, and the worker is told at its next heartbeat.
-- KEYS[1] the namespace   ARGV[2…] ids
-- Returns the status found of each, nil where there is no such job.
-- include: lib/by_id.lua
-- include: lib/cancelling.lua
local found = each_job(2, cancel_job)
write_down()
log_told()
return found
