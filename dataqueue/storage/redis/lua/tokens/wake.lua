-- Bring the end of a token to more of those who wait for it.
-- KEYS[1] the namespace   ARGV[2] its id
-- Returns whether some are left, and the types of the jobs that resume.
-- include: lib/waking.lua
local id = ARGV[2]
local token = token_of(id)
if not token or token.status == 'waiting' then
    return {0}
end
local _, are_left = wake_waiters(id, token, MOST_WAITERS)
write_down()
log_told()
return {are_left and 1 or 0, unpack(woken_types())}
