-- Tokens as read, newest first (by created_at, then id): those that match a filter, from after a place.
-- KEYS[1] the namespace   ARGV[2] the filter, JSON: `statuses`, all three where it does not narrow; `tags`, empty where it
-- does not; `mode` of the tags; `job`, left out where it does not   ARGV[3] [4] created_at and id of the place, or empty
-- ARGV[5] how many at most   ARGV[6] how many may be looked at   ARGV[7] bytes of outputs after which no further token is
-- begun
-- Returns why it ended (end: there are no more; more: it was full; on: so many were looked at), created_at and id of the last
-- token that is done with, how many were looked at, how many bytes there are, then the tokens (lib/tokens.lua).
-- include: lib/filters.lua
-- include: lib/readers.lua
-- include: lib/tokens.lua
local wanted = cjson.decode(ARGV[2])
local limit, most, largest = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local window = {high = tonumber(ARGV[3]), before = ARGV[4] ~= '' and ARGV[4] or nil}
local walks = {}
if wanted.job then
    -- Behind what ties it to tokens that it only waits for: those stand at 0.
    window.low = 1
    walks[1] = {list = key('ties:' .. wanted.job), window = window}
else
    for position, status in ipairs(wanted.statuses) do
        walks[position] = {list = key('tk:' .. status), window = window}
    end
end

local has_status = one_of(wanted.statuses)
local is_tagged = #wanted.tags > 0 and has_tags(wanted.tags, wanted.mode)

local function passes_filter(id)
    if not wanted.job and not is_tagged then
        return true
    end
    local values = redis.call('HMGET', token_key(id), 'status', 'tags')
    return values[1] and has_status(values[1]) and (not is_tagged or is_tagged(values[2]))
end

local readers = readers_of(walks)
local found, size, looked_at, created_at, last = {}, 0, 0, '', ''
local why = 'end'
while #readers > 0 do
    local reader = table.remove(readers)
    local id = reader.member
    if looked_at == most then
        why = 'on'
        break
    end
    if passes_filter(id) then
        if #found == limit or size >= largest then
            why = 'more'
            break
        end
        local token = token_as_read(id)
        found[#found + 1] = token
        size = size + (token[3] and #token[3] or 0)
    end
    created_at, last, looked_at = whole(reader.created_at), id, looked_at + 1
    if step(reader) then
        put_among(readers, reader)
    end
end
return {why, created_at, last, looked_at, size, unpack(found)}
