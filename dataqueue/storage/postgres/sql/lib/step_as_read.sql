-- Columns of a step (s) as read.
s.name, s.kind, s.value, s.token_id, s.until,
-- include: lib/step_outcome.sql
as outcome
