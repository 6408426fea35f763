-- include: lib/events.lua
-- Which events are asked for, as domain.events.EventFilter.matches: names, jobs, types and tags (JSON arrays of text, empty
-- where they do not narrow) and the mode of the tags.
local function set_of(json)
    if json == '' then
        return nil
    end
    local set, size = {}, 0
    for _, name in ipairs(cjson.decode(json)) do
        if not set[name] then
            set[name], size = true, size + 1
        end
    end
    return set, size
end

local function filter_of(names_json, jobs_json, types_json, tags_json, mode)
    local names, jobs, types, tags, size = set_of(names_json), set_of(jobs_json), set_of(types_json), set_of(tags_json)
    local function has_tags(text)
        local own, shared, others = {}, 0, 0
        for _, tag in ipairs(text ~= '' and cjson.decode(text) or own) do
            if not own[tag] then
                own[tag] = true
                if tags[tag] then
                    shared = shared + 1
                else
                    others = others + 1
                end
            end
        end
        if mode == 'exact' then
            return shared == size and others == 0
        elseif mode == 'all' then
            return shared == size
        elseif mode == 'any' then
            return shared > 0
        end
        return shared == 0
    end
    return function(event)
        return (not names or names[event[NAME]]) and (not jobs or jobs[event[JOB]]) and (not types or types[event[TYPE]])
            and (not tags or has_tags(event[TAGS]))
    end
end
