-- Keep a batch that is too large for one script: from here on all of its jobs will be there, whoever dies (jobs/take_up).
-- KEYS[1] the namespace   ARGV[2] the batch   ARGV[3…] its jobs, as lib/adding.lua takes them; none of them can be refused
-- Nothing happens where it is kept already: the reply was lost.
-- include: lib/keys.lua
-- include: lib/instant.lua
local MOST_ARGUMENTS = 4000
local batch = key('batch:' .. ARGV[2])
if redis.call('EXISTS', batch) == 0 then
    for first = 3, #ARGV, MOST_ARGUMENTS do
        redis.call('RPUSH', batch, unpack(ARGV, first, math.min(first + MOST_ARGUMENTS - 1, #ARGV)))
    end
    redis.call('ZADD', key('batches'), now_text, ARGV[2])
end
return 'kept'
