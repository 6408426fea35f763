-- One type.
-- KEYS[1] the namespace   ARGV[2] its name
-- Returns it as lib/job_types.lua reads it, in a list; none when it has neither jobs nor settings.
-- include: lib/job_types.lua
return redis.call('ZSCORE', key('types'), ARGV[2]) and {type_as_read(ARGV[2])} or {}
