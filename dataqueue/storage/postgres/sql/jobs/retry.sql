-- Failed or cancelled -> pending now, one attempt granted where none is left, crashes forgiven, steps kept. Runs in a
-- transaction that has locked the jobs before (jobs/hold, or a sweep), else the result of a failure that it waited for
-- would not be there yet to be cleared of its reason.
-- Answers the status found of each job there is, and whether it was changed.
with held as materialized (
    select id, job_type_id, status from dataqueue.job
    where id = any(cast(:ids as uuid[])) and namespace_id = :namespace_id
    order by id for no key update
), changed as (
    update dataqueue.job as j set status = 'pending', pending_reason = null, wake_at = null, crashes = 0,
        max_attempts = greatest(j.max_attempts, j.attempts + 1), cancel_requested = false, ended_at = null,
        run_at = least(j.run_at, i.instant), last_retried_at = i.instant, updated_at = i.instant
    from (select coalesce(cast(:at as timestamptz), now()) as instant) as i
    where j.id = any(array(select id from held where (status || '') in ('failed', 'cancelled')))
    returning j.id, j.namespace_id, j.job_type_id, j.tagged
), cleared as (
    update dataqueue.job_result set failure_reason = null
    where id = any(array(select id from changed)) and failure_reason is not null
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:retried',
        case when tagged then dataqueue.current_tags(id) end
    from changed
)
select h.id, h.status, t.name as job_type, c.id is not null as is_changed
from held h join dataqueue.job_type t on t.id = h.job_type_id left join changed c on c.id = h.id;
