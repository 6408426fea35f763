-- What belonged to jobs that are gone: the specification and with it the idempotency key, the result, the tags.
with specified as (
    delete from dataqueue.job_spec where id = any(cast(:ids as uuid[])) returning namespace_id, created_at, seq, tags
), resulted as (
    delete from dataqueue.job_result where id = any(cast(:ids as uuid[]))
)
delete from dataqueue.job_tag where ctid = any(array(
    select label.place from specified s cross join unnest(s.tags) as tag
    cross join lateral (  -- each by its key: to a planner that expects ten tags a job, reading all of a small table is cheaper
        select t.ctid as place from dataqueue.job_tag t
        where t.namespace_id = s.namespace_id and t.tag = tag.tag and t.created_at = s.created_at and t.seq = s.seq limit 1
    ) as label));
