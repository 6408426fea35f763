-- Stop, or go on, handing out jobs of a type, known or not. It is listed from now on; its other settings stay.
-- KEYS[1] the namespace   ARGV[2] its name   ARGV[3] empty: go on
-- include: lib/settings.lua
redis.call('HSET', key('settings:' .. ARGV[2]), MARK, 1)
list_and_pause(ARGV[2], ARGV[3] ~= '')
