-- Whether any API key was made.
-- KEYS[1] what no namespace has
return redis.call('EXISTS', KEYS[1] .. ':keys')
