-- Lists go by (created_at, seq); workers are known.
drop view dataqueue.job_read;

alter table dataqueue.job add column created_at timestamptz, add column tagged boolean not null default false;
update dataqueue.job j set created_at = s.created_at, tagged = s.tags is not null from dataqueue.job_spec s where s.id = j.id;
alter table dataqueue.job alter column created_at set not null;
drop index dataqueue.job_by_status;
drop index dataqueue.job_by_type;
create index job_by_status on dataqueue.job (namespace_id, status, created_at, seq) where status <> 'processing';
create index job_by_type on dataqueue.job (job_type_id, status, created_at, seq) where status <> 'processing';
create index job_later on dataqueue.job (namespace_id, created_at, seq, run_at) where run_at <> created_at;

alter table dataqueue.job_spec add column rank int not null default 0;
update dataqueue.job_spec s set rank = j.rank from dataqueue.job j where j.id = s.id and j.rank <> 0;
drop index dataqueue.job_spec_newest;
create index job_spec_newest on dataqueue.job_spec (namespace_id, created_at, seq);
create index job_spec_by_type on dataqueue.job_spec (job_type_id, created_at, seq);
create index job_spec_by_group on dataqueue.job_spec (namespace_id, group_id, created_at, seq) where group_id is not null;
create index job_spec_by_cron on dataqueue.job_spec (cron_id, created_at, seq) where cron_id is not null;
create index job_spec_by_rank on dataqueue.job_spec (namespace_id, rank, created_at, seq) where rank <> 0;

alter table dataqueue.job_tag add column created_at timestamptz;
update dataqueue.job_tag t set created_at = s.created_at from dataqueue.job_spec s where s.id = t.job_id;
alter table dataqueue.job_tag drop constraint job_tag_pkey, add primary key (namespace_id, tag, created_at, seq);

create table dataqueue.worker (
    namespace_id int not null, id text not null, kind text not null, job_types text[] not null,
    draining boolean not null default false, started_at timestamptz not null, last_beat_at timestamptz not null,
    primary key (namespace_id, id)) with (fillfactor = 50);

-- Drops the oldest day of events that ended before an instant, and answers about how many events that were; null when there
-- is none, or somebody is in the way. Whoever writes waits behind it for at most the 200 ms in which it waits for them:
-- once it holds the log nobody comes near a partition through it, so for those it does not wait. The files go after the
-- locks. The number is what the day's ids span, found by two steps into an index: ids that were drawn and rolled back are
-- in it, but unlike the statistics of a partition it is there without an analyze, and not as old as that.
create function dataqueue.drop_event_day(before timestamptz) returns bigint language plpgsql
set lock_timeout = '200ms' as $$
declare
    day text;
    events bigint;
begin
    if not pg_try_advisory_xact_lock(hashtext('dataqueue.prepare_event_log')) then
        return null;
    end if;
    select c.relname into day from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'dataqueue.event'::regclass and c.relname ~ '^event_[0-9]{8}$'
        and (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp at time zone 'UTC' <= before
    order by c.relname limit 1;
    if day is null then
        return null;
    end if;
    lock table only dataqueue.event in access exclusive mode;
    execute format('lock table only dataqueue.%I, only dataqueue.event_default in access exclusive mode nowait', day);
    execute format('select coalesce(max(id) - min(id) + 1, 0) from dataqueue.%I', day) into events;
    execute format('drop table dataqueue.%I', day);
    return events;
exception when lock_not_available then
    return null;
end
$$;

-- The options of a job and, where it names none, those of its type. The three retry fields are one choice.
create function dataqueue.with_defaults(given text, defaults jsonb) returns json language sql immutable parallel safe as $$
    select cast(case when cast(given as jsonb) ?| array['retry_delay', 'retry_backoff', 'retry_delay_max']
            then defaults - array['max_attempts', 'retry_delay', 'retry_backoff', 'retry_delay_max'] else defaults - 'max_attempts' end
        || coalesce(cast(given as jsonb), '{}') as json)
$$;

-- The specifications of jobs as they are now. A volatile function has a snapshot of its own: a statement that has locked
-- its jobs reads here what an edit committed after the statement began.
create function dataqueue.current_specs(ids uuid[])
returns table (id uuid, payload json, tags text[], options json) language sql volatile strict rows 100 as $$
    select id, payload, tags, options from dataqueue.job_spec where id = any(ids)
$$;
