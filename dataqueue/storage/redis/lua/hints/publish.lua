-- A hint to whoever listens, on any node.
-- KEYS[1] the namespace it is about   ARGV[2] the channel   ARGV[3] the hint
redis.call('PUBLISH', ARGV[2], ARGV[3])
