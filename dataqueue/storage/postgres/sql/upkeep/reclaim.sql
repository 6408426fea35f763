-- Processing with an expired lease -> pending, the attempt given back and the crash counted; with too many crashes
-- -> failed; cancelled where that was requested.
with expired as materialized (
    select id, cancel_requested, attempts, crashes, coalesce(cast(:at as timestamptz), now()) as instant
    from dataqueue.job
    where status = 'processing' and lease_expires_at < coalesce(cast(:at as timestamptz), now())
        and (cast(:namespace_id as int) is null or namespace_id = :namespace_id)
    order by id limit :limit for no key update skip locked
), doomed as (
    select id, 1 as moved_on from expired where cancel_requested
), failing as (
    select id, attempts, 'the worker running this job was lost ' || crashes + 1 || ' times' as message, 'Crashed' as type,
        'crashed' as reason, false as will_retry, instant, cast(null as timestamptz) as next_attempt_at
    from expired where not cancel_requested and crashes >= :max_crashes
),
-- include: lib/cancelled.sql
,
-- include: lib/failed.sql
, reclaimed as (
    update dataqueue.job as j set status = 'pending', attempts = j.attempts - cast(not j.resumes as int),
        crashes = j.crashes + 1, invocation = j.invocation + 1, worker_id = null, locked_at = null,
        lease_expires_at = null, updated_at = e.instant
    from expired e where j.id = e.id and not e.cancel_requested and e.crashes < :max_crashes
    returning j.id, j.namespace_id, j.job_type_id, j.tagged
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:reclaimed',
        case when tagged then dataqueue.current_tags(id) end
    from reclaimed
)
select (select count(*) from reclaimed) + (select count(*) from failed) + (select count(*) from cancelled) as moved;
