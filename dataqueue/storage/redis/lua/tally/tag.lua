-- One tag.
-- KEYS[1] the namespace   ARGV[2] the tag
-- Returns its counts, all zero when no job has it.
-- include: lib/counts.lua
local found = {}
add_counts(found, 'tg:', ':' .. ARGV[2])
return found
