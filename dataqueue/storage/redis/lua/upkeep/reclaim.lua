-- Processing with an expired lease -> pending, the attempt given back and the crash counted; with too many crashes
-- -> failed; cancelled where that was requested. The longest expired first, as many as ids are given.
-- KEYS[1] the namespace   ARGV[2] how many crashes are forgiven   ARGV[3…] what dead letters would be called
-- Returns how many.
-- include: lib/reclaiming.lua
local reclaimed = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('running'), '-inf', '(' .. now_text, 'LIMIT', 0, #ARGV - 2)) do
    local job = job_of(id)
    if job and job.status == 'processing' then
        reclaimed = reclaimed + 1
        reclaim_job(id, job, tonumber(ARGV[2]), ARGV[2 + reclaimed])
    else
        remove(key('running'), id)
    end
end
write_down()
log_told()
return reclaimed
