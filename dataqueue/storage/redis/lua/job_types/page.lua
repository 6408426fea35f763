-- Types by name, in the order of bytes.
-- KEYS[1] the namespace   ARGV[2] from where, as ZRANGEBYLEX takes it   ARGV[3] how many
-- Returns each as lib/job_types.lua reads it.
-- include: lib/job_types.lua
local found = {}
for _, job_type in ipairs(redis.call('ZRANGEBYLEX', key('types'), ARGV[2], '+', 'LIMIT', 0, ARGV[3])) do
    found[#found + 1] = type_as_read(job_type)
end
return found
