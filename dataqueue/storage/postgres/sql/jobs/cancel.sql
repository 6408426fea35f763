-- Pending or waiting -> cancelled. Processing: marked, and the worker is told at its next heartbeat.
-- Answers the status found for each job there is.
with held as materialized (
    select id, status, cancel_requested from dataqueue.job
    where id = any(cast(:ids as uuid[])) and namespace_id = :namespace_id
    order by id for no key update
), doomed as (
    select id, 0 as moved_on from held where (status || '') in ('pending', 'waiting')
),
-- include: lib/cancelled.sql
, marked as (
    update dataqueue.job as j set cancel_requested = true, updated_at = coalesce(cast(:at as timestamptz), now())
    from held h where j.id = h.id and (h.status || '') = 'processing' and not h.cancel_requested
)
select id, status from held;
