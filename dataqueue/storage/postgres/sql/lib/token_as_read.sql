-- Columns of a token (t) as read.
t.id, t.status, coalesce(t.tags, '{}') as tags, t.job_id, t.name, t.output, t.timeout_at, t.created_at, t.ended_at
