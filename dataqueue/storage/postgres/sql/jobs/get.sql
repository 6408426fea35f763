-- One job as read.
with wanted as materialized (
    select * from dataqueue.job where id = :id and namespace_id = :namespace_id
)
-- include: lib/job_as_read.sql
;
