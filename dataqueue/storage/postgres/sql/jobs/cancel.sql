-- Pending or waiting -> cancelled. Processing: marked, and the worker is told at its next heartbeat.
-- Answers the status found of each job there is, and whether either became true of it.
with held as materialized (
    select id, job_type_id, status, cancel_requested from dataqueue.job
    where id = any(cast(:ids as uuid[])) and namespace_id = :namespace_id
    order by id for no key update
), doomed as (
    select id, 0 as moved_on from held where (status || '') in ('pending', 'waiting')
),
-- include: lib/cancelled.sql
, marked as (
    update dataqueue.job as j set cancel_requested = true, updated_at = coalesce(cast(:at as timestamptz), now())
    where j.id = any(array(select id from held where (status || '') = 'processing' and not cancel_requested))
    returning j.id
), changed as (
    select id from cancelled union all select id from marked
)
select h.id, h.status, t.name as job_type, c.id is not null as is_changed
from held h join dataqueue.job_type t on t.id = h.job_type_id left join changed c on c.id = h.id;
