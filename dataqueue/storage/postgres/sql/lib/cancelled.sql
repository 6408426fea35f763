-- CTE: the jobs of doomed (id, moved_on) -> cancelled. moved_on is added to the invocation: 1 takes the job from a
-- worker that did not give it up. The rows are locked by the statement that includes this.
cancelled as (
    update dataqueue.job as j set status = 'cancelled', pending_reason = null, wake_at = null, resumes = false,
        cancel_requested = false, worker_id = null, locked_at = null, lease_expires_at = null,
        invocation = j.invocation + d.moved_on, ended_at = i.instant, updated_at = i.instant,
        last_cancelled_at = i.instant
    from doomed d, (select coalesce(cast(:at as timestamptz), now()) as instant) as i
    where j.id = d.id
    returning j.id, j.namespace_id, j.job_type_id, j.tagged
), cancelled_logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:cancelled',
        case when tagged then dataqueue.current_tags(id) end
    from cancelled
)
