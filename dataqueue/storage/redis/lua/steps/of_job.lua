-- The step log of a job.
-- KEYS[1] the namespace   ARGV[2] the job
-- Returns the instant of this call, and names and steps (lib/steps.lua) by turns, in no order.
-- include: lib/instant.lua
-- include: lib/steps.lua
return {now_text, redis.call('HGETALL', log_of(ARGV[2]))}
