-- Failed or cancelled -> pending now, one attempt granted where none is left, crashes forgiven, steps kept.
-- Answers the status found for each job there is.
with held as materialized (
    select j.id, j.status, t.name as job_type from dataqueue.job j join dataqueue.job_type t on t.id = j.job_type_id
    where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id
    order by j.id for no key update of j
), retried as (
    update dataqueue.job as j set status = 'pending', pending_reason = null, wake_at = null, crashes = 0,
        max_attempts = greatest(j.max_attempts, j.attempts + 1), cancel_requested = false, ended_at = null,
        run_at = least(j.run_at, i.instant), last_retried_at = i.instant, updated_at = i.instant
    from held h, (select coalesce(cast(:at as timestamptz), now()) as instant) as i
    where j.id = h.id and (h.status || '') in ('failed', 'cancelled')
    returning j.id, j.namespace_id, j.job_type_id
), cleared as (
    update dataqueue.job_result r set failure_reason = null from retried where r.id = retried.id
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:retried' from retried
)
select id, status, job_type from held;
