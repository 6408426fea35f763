-- Processing -> pending for what a worker was given without hearing of it: its claims whose reply was lost.
with held as materialized (
    select id, invocation, cancel_requested from dataqueue.job
    where worker_id = :worker_id and status = 'processing' and namespace_id = :namespace_id
        and not exists (
            select from unnest(cast(:ids as uuid[]), cast(:invocations as int[])) as known(id, invocation)
            where known.id = job.id and known.invocation = job.invocation
        )
    order by id for no key update
),
-- include: lib/released.sql
select id from held;
