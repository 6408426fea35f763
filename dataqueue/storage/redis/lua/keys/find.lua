-- An API key as it is kept.
-- KEYS[1] what no namespace has   ARGV[2] the digest
return redis.call('HGET', KEYS[1] .. ':keys', ARGV[2])
