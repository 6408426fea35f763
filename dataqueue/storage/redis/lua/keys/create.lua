-- Keep an API key, and make its namespace if it is new.
-- KEYS[1] what no namespace has   ARGV[2] the namespace   ARGV[3] the digest   ARGV[4] the key, JSON, without created_at
-- Returns when it was created; nil when the digest is taken, and nothing was stored.
-- include: lib/instant.lua
-- include: lib/keys.lua
local kept = string.sub(ARGV[4], 1, -2) .. ',"created_at":' .. now_text .. '}'
if redis.call('HSETNX', key('keys'), ARGV[3], kept) == 0 then
    return false
end
redis.call('SADD', key('namespaces'), ARGV[2])
return now_text
