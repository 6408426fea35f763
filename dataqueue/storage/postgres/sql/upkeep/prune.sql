-- Completed, failed or cancelled for longer than jobs of that status are kept -> gone. What somebody holds is left.
with held as materialized (
    select j.id, j.status from dataqueue.job j
    join unnest(cast(:statuses as text[]), cast(:kept_for as float8[])) as k(status, kept_for) on k.status = j.status || ''
    where j.id = any(cast(:ids as uuid[]))
        and j.ended_at < coalesce(cast(:at as timestamptz), now()) - k.kept_for * interval '1 second'
    order by j.id for update of j skip locked
),
-- include: lib/deleted.sql
select id, has_steps from changed;
