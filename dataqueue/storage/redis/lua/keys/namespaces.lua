-- The names of the namespaces that were made.
-- KEYS[1] what no namespace has
return redis.call('SMEMBERS', KEYS[1] .. ':namespaces')
