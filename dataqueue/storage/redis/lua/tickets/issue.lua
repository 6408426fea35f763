-- Keep a ticket; and away with some that have expired.
-- KEYS[1] what no namespace has   ARGV[2] the digest   ARGV[3] the namespace   ARGV[4] the lifetime, microseconds
-- Returns when it expires; nil when the digest is taken, and nothing was stored.
-- include: lib/instant.lua
-- include: lib/keys.lua
local tickets, expiry = key('tickets'), key('tickets:expiry')
local expired = redis.call('ZRANGEBYSCORE', expiry, '-inf', '(' .. now_text, 'LIMIT', 0, 100)
if #expired > 0 then
    redis.call('HDEL', tickets, unpack(expired))
    redis.call('ZREM', expiry, unpack(expired))
end
local expires_at = whole(now + tonumber(ARGV[4]))
if redis.call('HSETNX', tickets, ARGV[2], expires_at .. ' ' .. ARGV[3]) == 0 then
    return false
end
redis.call('ZADD', expiry, expires_at, ARGV[2])
return expires_at
