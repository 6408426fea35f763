-- What belonged to jobs that are gone: the specification and with it the idempotency key, the result, the tags.
with specified as (
    delete from dataqueue.job_spec where id = any(cast(:ids as uuid[])) returning namespace_id, created_at, seq, tags
), resulted as (
    delete from dataqueue.job_result where id = any(cast(:ids as uuid[]))
)
delete from dataqueue.job_tag as t
using (select s.namespace_id, s.created_at, s.seq, tag from specified s, unnest(s.tags) as tag) as gone
where t.namespace_id = gone.namespace_id and t.tag = gone.tag and t.created_at = gone.created_at and t.seq = gone.seq;
