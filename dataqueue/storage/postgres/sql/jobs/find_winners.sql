-- What stands in the way of rows that an enqueue left out: a job of the same key, else one of the same id.
-- is_same tells a repeat of the very same enqueue from a stranger's job under the id.
select g.id as asked_id, j.id, j.status,
    s.namespace_id = :namespace_id and s.idempotency_key is not distinct from g.idempotency_key as has_key,
    s.namespace_id = :namespace_id and s.job_type_id = g.job_type_id and cast(s.payload as text) = g.payload as is_same
from unnest(cast(:ids as uuid[]), cast(:idempotency_keys as text[]), cast(:job_type_ids as int[]),
    cast(:payloads as text[])) as g(id, idempotency_key, job_type_id, payload)
cross join lateral (
    select id, namespace_id, idempotency_key, job_type_id, payload, 0 as preference from dataqueue.job_spec
    where namespace_id = :namespace_id and idempotency_key = g.idempotency_key
    union all
    select id, namespace_id, idempotency_key, job_type_id, payload, 1 from dataqueue.job_spec where id = g.id
    order by preference limit 1
) as s
join dataqueue.job j on j.id = s.id;
