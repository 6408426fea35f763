-- Completed, failed or cancelled -> gone. Answers the status found of each job there is, and whether it is gone.
with held as materialized (
    select id, job_type_id, status from dataqueue.job
    where id = any(cast(:ids as uuid[])) and namespace_id = :namespace_id
    order by id for update
),
-- include: lib/deleted.sql
select h.id, h.status, t.name as job_type, c.id is not null as is_changed,
    coalesce(c.has_steps, false) as has_steps
from held h join dataqueue.job_type t on t.id = h.job_type_id left join changed c on c.id = h.id;
