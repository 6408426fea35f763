-- CTEs: the jobs of held (id, cancel_requested) -> pending, the attempt given back; cancelled where that was requested.
-- The rows are locked by the statement that includes this.
doomed as (
    select id, 0 as moved_on from held where cancel_requested
),
-- include: lib/cancelled.sql
, released as (
    update dataqueue.job as j set status = 'pending', attempts = j.attempts - cast(not j.resumes as int), worker_id = null,
        locked_at = null, lease_expires_at = null, updated_at = coalesce(cast(:at as timestamptz), now())
    where j.id = any(array(select id from held where not cancel_requested))
    returning j.id, j.namespace_id, j.job_type_id, j.tagged
), released_logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:released',
        case when tagged then dataqueue.current_tags(id) end
    from released
)
