-- Back to revision 0003.
drop function dataqueue.current_tags(uuid);
create or replace function dataqueue.drop_event_day(before timestamptz) returns bigint language plpgsql
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
drop index dataqueue.job_by_type, dataqueue.job_by_status, dataqueue.job_ready, dataqueue.event_position, dataqueue.event_of_job;
create index job_ready on dataqueue.job (job_type_id, rank, run_at, seq)
    where status = 'pending' and pending_reason is null and lane_id is null;
create index job_by_status on dataqueue.job (namespace_id, status, created_at, seq) where status <> 'processing';
create index job_by_type on dataqueue.job (job_type_id, status, created_at, seq) where status <> 'processing';
create index event_position on dataqueue.event (id);
create index event_of_job on dataqueue.event (job_id, id);
drop table dataqueue.event_ticket, dataqueue.event_log;
alter table dataqueue.event drop column tags;
