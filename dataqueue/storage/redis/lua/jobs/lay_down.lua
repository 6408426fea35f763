-- Keep a batch that is too large for one script: from here on all of its jobs will be there, whoever dies (jobs/take_up).
-- KEYS[1] the namespace   ARGV[2] the batch   ARGV[3…] its jobs, some at a time: JSON arrays of their values, as
-- lib/adding.lua takes them; none of them can be refused
-- Nothing happens where it is kept already: the reply was lost.
-- include: lib/keys.lua
-- include: lib/instant.lua
local batch = key('batch:' .. ARGV[2])
if redis.call('EXISTS', batch) == 0 then
    for number = 3, #ARGV do
        redis.call('RPUSH', batch, ARGV[number])
    end
    redis.call('ZADD', key('batches'), now_text, ARGV[2])
end
return 'kept'
