-- Waiting -> completed, and the jobs that wait for it resume; one whose time is up -> timed_out instead. One that has ended
-- stays as it is.
-- KEYS[1] the namespace   ARGV[2] its id   ARGV[3] the output
-- Returns whether it was completed by this; whether jobs are left that have not heard of its end (tokens/wake); the token as
-- read (lib/tokens.lua); and the types of those that resume. Nothing where there is no such token.
-- include: lib/waking.lua
local id, output = ARGV[2], ARGV[3]
local token = token_of(id)
if not token then
    return {}
end
local is_first = token.status == 'waiting' and not is_up(token)
if is_first then
    end_token(id, token, 'completed', output)
elseif token.status == 'waiting' then
    end_token(id, token, 'timed_out')
end
local _, are_left = wake_waiters(id, token, MOST_WAITERS)
write_down()
log_told()
return {is_first and 1 or 0, are_left and 1 or 0, token_as_read(id), unpack(woken_types())}
