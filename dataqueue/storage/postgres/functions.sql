-- Functions and the view of the schema; applied after schema.sql.

-- A UUIDv7 (RFC 9562, 5.7) for rows made by a statement; PostgreSQL has its own from 18 on.
create function dataqueue.uuid7() returns uuid language sql volatile parallel safe as $$
    select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
        substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6), 52, 1), 53, 1),
        'hex')::uuid
$$;

-- An instant as the wire writes it.
create function dataqueue.wire_instant(at timestamptz) returns text language sql stable parallel safe as $$
    select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Makes the partitions of today and the days ahead, each in its own short while: it waits for nobody's transaction
-- longer than 200 ms, because everybody who writes would wait behind it. Events that had to go to the default partition
-- meanwhile are moved; the lock keeps writers out between the move and the attach. Where a dump or a long transaction is
-- in the way, a later round will find it gone: days are left.
create function dataqueue.prepare_event_log(days int) returns int language plpgsql
set lock_timeout = '200ms' as $$
declare
    day date;
    made int := 0;
    partition text;
begin
    if not pg_try_advisory_xact_lock(hashtext('dataqueue.prepare_event_log')) then
        return 0;
    end if;
    for day in select (now() at time zone 'UTC')::date + n from generate_series(0, days) as n loop
        partition := 'event_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass('dataqueue.' || partition) is not null;
        begin
            lock table dataqueue.event in share row exclusive mode;
            execute format('create table dataqueue.%I (like dataqueue.event including defaults including constraints)', partition);
            execute format('with moved as (delete from dataqueue.event_default where at >= %1$L and at < %2$L returning *)
                insert into dataqueue.%3$I select * from moved',
                day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC', partition);
            execute format('alter table dataqueue.event attach partition dataqueue.%I for values from (%L) to (%L)',
                partition, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
            made := made + 1;
        exception when lock_not_available then
            return made;
        end;
    end loop;
    return made;
end
$$;

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
