-- Jobs as read.
-- KEYS[1] the namespace   ARGV[2…] ids
-- Returns for each job there is: id, its hash as pairs, payload, output, error history, whether its type is paused, its step
-- log as names and steps by turns (nil where it has none), and the instant of this call.
-- include: lib/read.lua
local found = {}
for position = 2, #ARGV do
    found[#found + 1] = as_read(ARGV[position])
end
return found
