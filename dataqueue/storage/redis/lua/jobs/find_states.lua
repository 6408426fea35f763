-- Where jobs stand.
-- KEYS[1] the namespace   ARGV[2…] ids
-- Returns the status of each, nil where there is no such job.
-- include: lib/keys.lua
local found = {}
for position = 2, #ARGV do
    found[#found + 1] = redis.call('HGET', job_key(ARGV[position]), 'status')
end
return found
