-- Jobs as read.
-- KEYS[1] the namespace   ARGV[2…] ids
-- Returns for each job there is: id, its hash as pairs, payload, output, error history, and whether its type is paused.
-- include: lib/read.lua
local found = {}
for position = 2, #ARGV do
    found[#found + 1] = as_read(ARGV[position])
end
return found
