-- Events of one job, oldest first.
select
-- include: lib/event_as_read.sql
from dataqueue.event e join dataqueue.job_spec here on here.id = e.job_id left join dataqueue.job_type t on t.id = e.job_type_id
where e.job_id = :id and e.namespace_id = :namespace_id and e.id > :after
order by e.id limit :limit;
