-- Processing: the lease is extended; where a cancel was requested -> cancelled, and the invocation moves on.
-- A row that somebody holds is left out: one open transaction must not cost a worker all its leases.
with given as materialized (
    select * from unnest(cast(:ids as uuid[]), cast(:invocations as int[])) as g(id, invocation)
), held as materialized (
    select j.id, j.invocation, j.cancel_requested from dataqueue.job j join given g on g.id = j.id and g.invocation = j.invocation
    where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id and (j.status || '') = 'processing'
    order by j.id for no key update of j skip locked
), extended as (
    update dataqueue.job as j set
        lease_expires_at = coalesce(cast(:at as timestamptz), now()) + :lease * interval '1 second'
    where j.id = any(array(select id from held where not cancel_requested))
    returning j.id, j.invocation, 'ok' as beat
), doomed as (
    select id, 1 as moved_on from held where cancel_requested
),
-- include: lib/cancelled.sql
select id, invocation, beat from extended
union all
select c.id, h.invocation, 'cancel' from cancelled c join held h using (id);
