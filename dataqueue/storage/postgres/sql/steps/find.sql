-- What stands under names that a call found taken. A statement after steps/save: it sees what that one waited for.
select s.job_id,
-- include: lib/step_as_read.sql
from dataqueue.step s join unnest(cast(:ids as uuid[]), cast(:names as text[])) as g(id, name)
    on g.id = s.job_id and g.name = s.name
where s.job_id = any(cast(:ids as uuid[]));
