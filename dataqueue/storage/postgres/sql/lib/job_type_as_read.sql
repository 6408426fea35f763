-- The types of the namespace that have jobs or settings; what follows narrows them.
with
-- include: lib/type_totals.sql
select t.name as job_type, t.paused, t.options, coalesce(c.pending, 0) as pending, coalesce(c.processing, 0) as processing,
    coalesce(c.waiting, 0) as waiting, coalesce(c.completed, 0) as completed, coalesce(c.failed, 0) as failed,
    coalesce(c.cancelled, 0) as cancelled
from dataqueue.job_type t left join type_total c on c.job_type_id = t.id
where t.namespace_id = :namespace_id and (c.job_type_id is not null or t.options is not null or t.paused)
