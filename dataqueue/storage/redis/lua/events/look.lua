-- What was added to the log.
-- KEYS[1] the namespace   ARGV[2] after this position; empty: nothing is told   ARGV[3] how many events at most
-- Returns the last position there is; the one that was told up to where there is more, else nil; and the events
-- (lib/events.lua).
-- include: lib/log_state.lua
local last = log_state()[1]
if ARGV[2] == '' or tonumber(ARGV[2]) >= tonumber(last) then
    return {last, false, {}}
end
local limit = tonumber(ARGV[3])
local found, told_to = stretch(ARGV[2], '+', limit, limit, function()
    return true
end)
return {last, told_to or false, found}
