-- A ticket serves once: whoever deletes it has it.
-- KEYS[1] what no namespace has   ARGV[2] the digest
-- Returns the namespace; nil for a ticket that is unknown, used or expired.
-- include: lib/instant.lua
-- include: lib/keys.lua
local kept = redis.call('HGET', key('tickets'), ARGV[2])
if not kept then
    return false
end
redis.call('HDEL', key('tickets'), ARGV[2])
redis.call('ZREM', key('tickets:expiry'), ARGV[2])
local space = string.find(kept, ' ', 1, true)
return tonumber(string.sub(kept, 1, space - 1)) > now and string.sub(kept, space + 1)
