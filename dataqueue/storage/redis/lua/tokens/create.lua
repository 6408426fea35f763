-- Make tokens that belong to no job: nothing -> waiting. One whose id is there stays as it is: the reply was lost.
-- KEYS[1] the namespace   ARGV[2…] three values a token: id, timeout in microseconds and tags as JSON, each empty for none
-- Returns each as read (lib/tokens.lua).
-- include: lib/tokens.lua
local answers = {}
for first = 2, #ARGV, 3 do
    local id = ARGV[first]
    if redis.call('EXISTS', token_key(id)) == 0 then
        add_token(id, ARGV[first + 1], ARGV[first + 2])
        tell_of_token(id, {tags = ARGV[first + 2]}, 'token:created')
    end
    answers[#answers + 1] = token_as_read(id)
end
write_down()
log_told()
return answers
