-- What a stream of events needs: the tags of a job in each of its events, how far the log has been cut off, tickets. And
-- an index of lists without the completed jobs, which all jobs become, and indexes that do not look for equal entries where
-- there are none.
drop index dataqueue.job_by_type, dataqueue.job_by_status, dataqueue.job_ready, dataqueue.event_position, dataqueue.event_of_job;
create index job_ready on dataqueue.job (job_type_id, rank, run_at, seq) with (deduplicate_items = off)
    where status = 'pending' and pending_reason is null and lane_id is null;
create index job_by_status on dataqueue.job (namespace_id, status, created_at, seq) with (deduplicate_items = off) where status <> 'processing';
create index job_by_type on dataqueue.job (job_type_id, status, created_at, seq) with (deduplicate_items = off)
    where status <> 'processing' and status <> 'completed';
create index event_position on dataqueue.event (id) with (deduplicate_items = off);
create index event_of_job on dataqueue.event (job_id, id) with (deduplicate_items = off);
alter table dataqueue.event add column tags text[];
create table dataqueue.event_log (is_it boolean primary key default true check (is_it), dropped_to bigint not null);
insert into dataqueue.event_log (dropped_to) select coalesce(min(id) - 1, 0) from dataqueue.event;
create table dataqueue.event_ticket (
    digest bytea primary key, namespace_id int not null, expires_at timestamptz not null);
create index event_ticket_by_expiry on dataqueue.event_ticket (expires_at);

-- Drops the oldest day of events that ended before an instant, and answers about how many events that were; null when there
-- is none, or somebody is in the way. Whoever writes waits behind it for at most the 200 ms in which it waits for them:
-- once it holds the log nobody comes near a partition through it, so for those it does not wait. The files go after the
-- locks. The number is what the day's ids span, found by two steps into an index: ids that were drawn and rolled back are
-- in it, but unlike the statistics of a partition it is there without an analyze, and not as old as that.
create or replace function dataqueue.drop_event_day(before timestamptz) returns bigint language plpgsql
set lock_timeout = '200ms' as $$
declare
    day text;
    oldest bigint;
    newest bigint;
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
    execute format('select min(id), max(id) from dataqueue.%I', day) into oldest, newest;
    execute format('drop table dataqueue.%I', day);
    update dataqueue.event_log set dropped_to = newest where newest > dropped_to;
    return coalesce(newest - oldest + 1, 0);
exception when lock_not_available then
    return null;
end
$$;

-- The tags of a job as they are now, see current_specs; for an event of a job that has some.
create function dataqueue.current_tags(job_id uuid) returns text[] language sql volatile strict as $$
    select tags from dataqueue.job_spec where id = job_id
$$;
