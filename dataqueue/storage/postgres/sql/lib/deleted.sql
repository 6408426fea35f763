-- CTE: the jobs of held (id, status), completed, failed or cancelled -> gone. changed (id, job_type_id, has_steps) are
-- those. What belonged to them goes in statements of its own (jobs/forget, steps/forget): the count of tags reads it first.
changed as (
    delete from dataqueue.job
    where id = any(array(select id from held where (status || '') in ('completed', 'failed', 'cancelled')))
    returning id, job_type_id, has_steps
)
