-- Processing -> pending while an attempt is left and the failure may be retried, else failed with its dead letter;
-- cancelled where that was requested.
with given as materialized (
    select * from unnest(cast(:ids as uuid[]), cast(:invocations as int[]), cast(:messages as text[]),
        cast(:types as text[]), cast(:reasons as text[]), cast(:delays as float8[]))
        as g(id, invocation, message, type, reason, delay)
), held as materialized (
    select j.id, j.invocation, j.cancel_requested, j.attempts, g.message, g.type, g.reason, g.delay,
        g.delay is not null and j.attempts < j.max_attempts as will_retry,
        coalesce(cast(:at as timestamptz), now()) as instant
    from dataqueue.job j join given g on g.id = j.id and g.invocation = j.invocation
    where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id and (j.status || '') = 'processing'
    order by j.id for no key update of j
), doomed as (
    select id, 0 as moved_on from held where cancel_requested
), failing as (
    select id, attempts, message, type, reason, will_retry, instant,
        case when will_retry then instant + delay * interval '1 second' end as next_attempt_at
    from held where not cancel_requested
),
-- include: lib/cancelled.sql
,
-- include: lib/failed.sql
select id, invocation from held;
