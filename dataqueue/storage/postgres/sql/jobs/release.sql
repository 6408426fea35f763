-- Processing -> pending, the attempt given back; cancelled where that was requested.
with given as materialized (
    select * from unnest(cast(:ids as uuid[]), cast(:invocations as int[])) as g(id, invocation)
), held as materialized (
    select j.id, j.invocation, j.cancel_requested
    from dataqueue.job j join given g on g.id = j.id and g.invocation = j.invocation
    where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id and (j.status || '') = 'processing'
    order by j.id for no key update of j
),
-- include: lib/released.sql
select id, invocation from held;
