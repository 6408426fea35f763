-- Tags that some job has, in the order of their bytes, which is that of their code points.
-- KEYS[1] the namespace   ARGV[2] from where, as ZRANGEBYLEX takes it   ARGV[3] with what they begin   ARGV[4] how many
-- Returns seven values a tag: its name and its counts.
-- include: lib/counts.lua
local beyond = '+'
if ARGV[3] ~= '' then
    beyond = '(' .. ARGV[3] .. '\255' -- no byte of any text
end
local found = {}
for _, tag in ipairs(redis.call('ZRANGEBYLEX', key('tags'), ARGV[2], beyond, 'LIMIT', 0, ARGV[4])) do
    found[#found + 1] = tag
    add_counts(found, 'tg:', ':' .. tag)
end
return found
