-- One job as read.
select read.*,
-- include: lib/steps_as_read.sql
from (
    with wanted as materialized (
        select * from dataqueue.job where id = :id and namespace_id = :namespace_id
    )
-- include: lib/job_as_read.sql
) as read;
