-- Back to revision 0001.
drop trigger count_added on dataqueue.job;
drop trigger count_moved on dataqueue.job;
drop trigger count_removed on dataqueue.job;
drop function dataqueue.count_added();
drop function dataqueue.count_moved();
drop function dataqueue.count_removed();
drop function dataqueue.bucket_of(interval);
drop function dataqueue.with_defaults(text, jsonb);
drop function dataqueue.drop_event_day(timestamptz);
drop function dataqueue.current_specs(uuid[]);
drop table dataqueue.type_delta, dataqueue.type_count, dataqueue.tag_delta, dataqueue.tag_count,
    dataqueue.minute_delta, dataqueue.minute_count, dataqueue.worker;

alter table dataqueue.job_tag drop constraint job_tag_pkey, drop column created_at;
alter table dataqueue.job_tag add primary key (namespace_id, tag, seq);

drop index dataqueue.job_spec_newest;
drop index dataqueue.job_spec_by_type;
drop index dataqueue.job_spec_by_group;
drop index dataqueue.job_spec_by_cron;
alter table dataqueue.job_spec drop column rank;
create index job_spec_newest on dataqueue.job_spec (namespace_id, seq);

drop index dataqueue.job_by_status;
drop index dataqueue.job_by_type;
drop index dataqueue.job_later;
alter table dataqueue.job drop column created_at, drop column tagged;
create index job_by_status on dataqueue.job (namespace_id, status, seq) where status <> 'processing';
create index job_by_type on dataqueue.job (job_type_id, status, seq) where status <> 'processing';

-- The only list of a job's columns as read.
create view dataqueue.job_read as
select j.id, n.name as namespace, t.name as job_type, s.payload, j.status, -j.rank as priority, j.run_at,
    coalesce(s.tags, '{}') as tags, s.idempotency_key, j.attempts, j.max_attempts, j.crashes,
    (s.options ->> 'timeout_ms')::bigint as timeout_ms,
    coalesce((s.options ->> 'force_kill_on_timeout')::boolean, false) as force_kill_on_timeout,
    (s.options ->> 'retry_delay')::float8 as retry_delay,
    (s.options ->> 'retry_backoff')::boolean as retry_backoff,
    (s.options ->> 'retry_delay_max')::float8 as retry_delay_max,
    s.options ->> 'dead_letter_job_type' as dead_letter_job_type, r.dead_letter_job_id, r.dead_lettered_at,
    s.group_id, s.group_tier, s.cron_id, r.progress, r.output, coalesce(r.error_history, '[]') as error_history,
    case when j.status <> 'completed' then r.failure_reason end as failure_reason, j.pending_reason,
    case when j.status = 'waiting' then j.wake_at end as wait_until,
    case when j.status = 'pending' and j.pending_reason = 'retry' then j.wake_at end as next_attempt_at,
    j.worker_id as locked_by, j.locked_at, j.lease_expires_at, j.cancel_requested, s.created_at, j.updated_at,
    j.started_at, j.ended_at as completed_at, j.last_retried_at, j.last_failed_at, j.last_cancelled_at, j.seq,
    j.namespace_id, j.job_type_id
from dataqueue.job j
join dataqueue.job_spec s using (id)
join dataqueue.job_type t on t.id = j.job_type_id
join dataqueue.namespace n on n.id = j.namespace_id
left join dataqueue.job_result r on r.id = j.id;
