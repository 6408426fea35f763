-- include: lib/keys.lua
-- How many jobs there are, by the lengths of their lists: a number for each status, in the order of domain.job.JobStatus.
local COUNTED = {'pending', 'processing', 'waiting', 'completed', 'failed', 'cancelled'}

-- family: st:, ty: or tg:; name: empty, or a colon and the name of the type or the tag. They are added to a list.
local function add_counts(list, family, name)
    for _, status in ipairs(COUNTED) do
        list[#list + 1] = redis.call('ZCARD', key(family .. status .. name))
    end
end
