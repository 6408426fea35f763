-- The lowest score in sorted sets: whether there is anything to do.
-- KEYS[1] the namespace   ARGV[2…] names of sorted sets
-- Returns what instant it is, then the score in each, nil where there is none.
-- include: lib/instant.lua
-- include: lib/keys.lua
local answers = {now}
for position = 2, #ARGV do
    local score = redis.call('ZRANGE', key(ARGV[position]), 0, 0, 'WITHSCORES')[2]
    answers[position] = score and tonumber(score) or false
end
return answers
