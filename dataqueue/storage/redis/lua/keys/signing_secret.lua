-- What capability URLs are signed with: the same for ever.
-- KEYS[1] what no namespace has   ARGV[2] what it is to be where there is none yet, hexadecimal
local secret = KEYS[1] .. ':signing_secret'
redis.call('SET', secret, ARGV[2], 'NX')
return redis.call('GET', secret)
