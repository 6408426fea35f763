-- The next jobs of a batch that is kept, as many as were kept in one piece: nothing -> pending.
-- KEYS[1] the namespace   ARGV[2] the batch; empty: the oldest that was kept before ARGV[3]
-- ARGV[3] how long ago at least it was kept, microseconds
-- Returns how many were taken up, 0 where there is none, then what was not simply stored of them (lib/adding.lua).
-- include: lib/adding.lua
local batches, name = key('batches'), ARGV[2]
if name == '' then
    name = redis.call('ZRANGEBYSCORE', batches, '-inf', whole(now - tonumber(ARGV[3])), 'LIMIT', 0, 1)[1]
end
local batch = key('batch:' .. (name or ''))
local piece = redis.call('LINDEX', batch, 0)
local values = piece and cjson.decode(piece) or {}
-- Again: the whole batch may have been taken up, and then kept once more by a caller who had not heard of it.
local answers = add_jobs(values, 1, true)
redis.call('LPOP', batch)
if redis.call('EXISTS', batch) == 0 and name then
    redis.call('ZREM', batches, name)
end
write_down()
log_told()
return {#values / WIDTH, unpack(answers)}
