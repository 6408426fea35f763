-- One token.
-- KEYS[1] the namespace   ARGV[2] its id
-- Returns it as read (lib/tokens.lua), in a list; none where there is no such token.
-- include: lib/tokens.lua
return redis.call('EXISTS', token_key(ARGV[2])) == 1 and {token_as_read(ARGV[2])} or {}
