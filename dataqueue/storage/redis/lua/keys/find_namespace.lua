-- Whether there is a namespace of a name.
-- KEYS[1] what no namespace has   ARGV[2] the name
return redis.call('SISMEMBER', KEYS[1] .. ':namespaces', ARGV[2])
