-- The only list of a job's columns as read, but for its steps (lib/steps_as_read): of the rows of dataqueue.job in wanted.
-- Each other table is reached by its key, in one scan for all of them. Every row has its partners (a result or none), so full joins find what inner ones
-- would; but they are never done by nested loops, which the planner likes for it expects ten jobs where there may be 1,000.
, specs as materialized (
    select * from dataqueue.job_spec where id = any(array(select id from wanted))
), types as materialized (
    select id, name, paused from dataqueue.job_type where id = any(array(select job_type_id from wanted))
), results as materialized (
    select * from dataqueue.job_result where id = any(array(select id from wanted))
)
select j.id, coalesce(s.new_type, t.name) as job_type, s.payload, j.status, -j.rank as priority, j.run_at,
    coalesce(s.tags, '{}') as tags, s.idempotency_key, j.attempts, j.max_attempts, j.crashes,
    cast(s.options ->> 'timeout_ms' as bigint) as timeout_ms,
    coalesce(cast(s.options ->> 'force_kill_on_timeout' as boolean), false) as force_kill_on_timeout,
    cast(s.options ->> 'retry_delay' as float8) as retry_delay,
    cast(s.options ->> 'retry_backoff' as boolean) as retry_backoff,
    cast(s.options ->> 'retry_delay_max' as float8) as retry_delay_max,
    s.options ->> 'dead_letter_job_type' as dead_letter_job_type, r.dead_letter_job_id, r.dead_lettered_at,
    s.group_id, s.group_tier, s.cron_id, r.progress, r.output, coalesce(r.error_history, '[]') as error_history,
    case when j.status <> 'completed' then r.failure_reason end as failure_reason,
    case when j.status = 'pending' and t.paused then 'paused' else j.pending_reason end as pending_reason,
    case when j.status = 'waiting' then j.wake_at end as wait_until,
    case when j.status = 'waiting' and j.has_steps then (
        select w.token_id from dataqueue.step w
        where w.job_id = j.id and w.kind = 'token' and w.outcome is null and w.awaited_by = j.invocation
        order by w.seq limit 1) end as wait_token_id,
    case when j.status = 'pending' and j.pending_reason = 'retry' then j.wake_at end as next_attempt_at,
    j.worker_id as locked_by, j.locked_at, j.lease_expires_at, j.cancel_requested, j.created_at, j.updated_at,
    j.started_at, j.ended_at as completed_at, j.last_retried_at, j.last_failed_at, j.last_cancelled_at, j.seq, j.has_steps
from wanted j
full join specs s on s.id = j.id
full join types t on t.id = j.job_type_id
full join results r on r.id = j.id
