-- Where jobs stand now, and by what the last invocation that reported ended: tells a repeated report from another one
-- and from one that came too late.
select j.id, j.invocation, j.status, (
    select e.name from dataqueue.event e
    where e.job_id = j.id and e.name in (
        'job:completed', 'job:failed', 'job:released', 'job:cancelled', 'job:waiting', 'job:resumed')
    order by e.id desc limit 1) as ended_by
from dataqueue.job j where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id;
