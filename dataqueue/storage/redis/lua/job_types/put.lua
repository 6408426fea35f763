-- Replace what is set for a type, known or not. It is listed from now on, whatever is set.
-- KEYS[1] the namespace   ARGV[2] its name   ARGV[3] empty, or it is paused   ARGV[4…] settings: names and values, by turns
-- include: lib/settings.lua
local settings = key('settings:' .. ARGV[2])
redis.call('DEL', settings)
redis.call('HSET', settings, MARK, 1, unpack(ARGV, 4))
list_and_pause(ARGV[2], ARGV[3] ~= '')
