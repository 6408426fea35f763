-- Changes of sets and counts, gathered and made at the end with one command a key: that is cheaper, and nothing is written
-- before everything has been looked at. What is removed and added again stays. Scores are best given as text: a number costs
-- a conversion each.
local MOST_ARGUMENTS = 4000
local adding, removing, leaving, counting = {}, {}, {}, {}

local function add(name, score, member)
    local list = adding[name]
    if not list then
        list = {}
        adding[name] = list
    end
    local size = #list
    list[size + 1] = score
    list[size + 2] = member
end

local function gather(lists, name, member)
    local list = lists[name]
    if not list then
        lists[name] = {member}
    else
        list[#list + 1] = member
    end
end

local function remove(name, member)
    gather(removing, name, member)
end

-- The same of a plain set.
local function leave(name, member)
    gather(leaving, name, member)
end

local function count(name, field, n)
    local fields = counting[name]
    if not fields then
        fields = {}
        counting[name] = fields
    end
    fields[field] = (fields[field] or 0) + n
end

local function in_pieces(command, lists)
    for name, list in pairs(lists) do
        for first = 1, #list, MOST_ARGUMENTS do
            redis.call(command, name, unpack(list, first, math.min(first + MOST_ARGUMENTS - 1, #list)))
        end
    end
end

local function write_down()
    in_pieces('ZREM', removing)
    in_pieces('ZADD', adding)
    in_pieces('SREM', leaving)
    for name, fields in pairs(counting) do
        for field, n in pairs(fields) do
            redis.call('HINCRBY', name, field, n)
        end
    end
end
