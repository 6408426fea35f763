-- The steps of jobs, as they were stored.
with here as materialized (
    select id from dataqueue.job where id = any(cast(:ids as uuid[])) and namespace_id = :namespace_id
)
select s.job_id,
-- include: lib/step_as_read.sql
from dataqueue.step s where s.job_id = any(array(select id from here))
order by s.seq;
