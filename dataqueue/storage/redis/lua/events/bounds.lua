-- How far the log reaches.
-- KEYS[1] the namespace
-- Returns last, dropped and born (lib/log_state.lua).
-- include: lib/log_state.lua
return log_state()
