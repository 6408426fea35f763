-- Names of keys (keys.py says what each holds), from KEYS[1], with which all of them begin.
local function key(name)
    return KEYS[1] .. ':' .. name
end

local function job_key(id)
    return KEYS[1] .. ':job:' .. id
end

-- Where a job stands among those that are ready: by rank, which is the score, then by this.
local function ready_member(job, id)
    return string.format('%016d%016d', job.run_at, job.seq) .. id
end

local function id_of_ready(member)
    return string.sub(member, 33)
end

-- Where a job stands in lists: by created_at, which is the score, then by this.
local function list_member(job, id)
    return string.format('%016d', job.seq) .. id
end

local function id_of_list(member)
    return string.sub(member, 17)
end
