-- Events of one job, oldest first.
select e.id, e.name as event, e.job_id, coalesce(s.new_type, t.name) as job_type, coalesce(s.tags, '{}') as tags, e.at, e.data
from dataqueue.event e join dataqueue.job_spec s on s.id = e.job_id join dataqueue.job_type t on t.id = e.job_type_id
where e.job_id = :id and e.namespace_id = :namespace_id and e.id > :after
order by e.id limit :limit;
