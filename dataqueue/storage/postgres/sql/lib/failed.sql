-- CTEs: the jobs of failing (id, attempts, message, type, reason, will_retry, instant, next_attempt_at) -> pending or
-- failed, with history, event and dead letter. The rows are locked by the statement that includes this.
failed as (
    update dataqueue.job as j set status = case when f.will_retry then 'pending' else 'failed' end,
        pending_reason = case when f.next_attempt_at > f.instant then 'retry' end,
        wake_at = case when f.next_attempt_at > f.instant then f.next_attempt_at end, resumes = false, worker_id = null,
        locked_at = null, lease_expires_at = null, ended_at = case when f.will_retry then null else f.instant end,
        crashes = j.crashes + cast(f.reason = 'crashed' as int),
        invocation = j.invocation + cast(f.reason = 'crashed' as int),
        attempts = j.attempts - cast(f.reason = 'crashed' and not j.resumes as int),
        updated_at = f.instant, last_failed_at = f.instant
    from failing f where j.id = f.id
    returning j.id, j.namespace_id, j.job_type_id, j.attempts, j.max_attempts, f.attempts as attempt, f.message, f.type,
        f.reason, f.will_retry, f.instant, f.next_attempt_at, j.tagged
), lost_hope as (
    select f.*, d.id as dead_type_id, dataqueue.uuid7() as dead_id, nextval('dataqueue.job_seq') as dead_seq, s.payload,
        t.name as job_type
    from failed f join dataqueue.job_spec s using (id) join dataqueue.job_type t on t.id = f.job_type_id
    join dataqueue.job_type d on d.namespace_id = f.namespace_id and d.name = s.options ->> 'dead_letter_job_type'
    where not f.will_retry
), noted as (
    insert into dataqueue.job_result as r
        (id, failure_reason, error_history, dead_letter_job_id, dead_lettered_at)
    select f.id, f.reason, jsonb_build_array(jsonb_build_object('message', f.message, 'type', f.type,
        'at', dataqueue.wire_instant(f.instant), 'attempt', f.attempt)), l.dead_id, case when l.dead_id is not null then f.instant end
    from failed f left join lost_hope l using (id)
    on conflict (id) do update set failure_reason = excluded.failure_reason,
        dead_letter_job_id = coalesce(excluded.dead_letter_job_id, r.dead_letter_job_id),
        dead_lettered_at = coalesce(excluded.dead_lettered_at, r.dead_lettered_at),
        error_history = case when jsonb_array_length(coalesce(r.error_history, '[]')) < 100 then coalesce(r.error_history, '[]')
            else r.error_history - 0 end || excluded.error_history
), dead_specified as (
    insert into dataqueue.job_spec (id, namespace_id, job_type_id, seq, payload, created_at)
    select dead_id, namespace_id, dead_type_id, dead_seq, json_build_object(
        'original_job', json_build_object('id', id, 'job_type', job_type, 'attempts', attempts, 'max_attempts', max_attempts),
        'original_payload', payload,
        'failure', json_build_object('message', message, 'reason', reason, 'failed_at', dataqueue.wire_instant(instant))), instant
    from lost_hope
), dead_added as (
    insert into dataqueue.job (id, seq, namespace_id, job_type_id, run_at, max_attempts, updated_at, created_at)
    select dead_id, dead_seq, namespace_id, dead_type_id, instant, 1, instant, instant from lost_hope
), failed_logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, data, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, name, data,
        case when tagged then dataqueue.current_tags(id) end
    from (
        select 1 as part, namespace_id, id, job_type_id, 'job:failed' as name, json_build_object('attempt', attempt,
            'message', message, 'reason', reason, 'will_retry', will_retry,
            'next_attempt_at', dataqueue.wire_instant(next_attempt_at)) as data, tagged
        from failed
        union all
        select 2, namespace_id, id, job_type_id, 'job:dead_lettered', json_build_object('dead_letter_job_id', dead_id), tagged
        from lost_hope
        union all
        select 3, namespace_id, dead_id, dead_type_id, 'job:added', null, false from lost_hope
    ) as told order by part
)
