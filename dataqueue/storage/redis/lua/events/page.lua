-- Events of a stretch of the log that match, oldest first.
-- KEYS[1] the namespace   ARGV[2] after this position   ARGV[3] up to this one   ARGV[4] how many at most
-- ARGV[5] how many are looked at at most   ARGV[6…] the filter (lib/event_filter.lua)
-- Returns expired and up to where; or page, the position that was looked up to (nil: all of it), and the events
-- (lib/events.lua).
-- include: lib/log_state.lua
-- include: lib/event_filter.lua
local state = log_state()
if is_expired(tonumber(ARGV[2]), state) then
    return {'expired', state[2], false}
end
local is_wanted = filter_of(ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10])
local found, looked_to = stretch(ARGV[2], ARGV[3] .. '-0', tonumber(ARGV[4]), tonumber(ARGV[5]), is_wanted)
return {'page', looked_to or false, found}
