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

-- Drops the oldest day of events that ended before an instant, and answers about how many events that were; null when there
-- is none, or somebody is in the way. Whoever writes waits behind it for at most the 200 ms in which it waits for them:
-- once it holds the log nobody comes near a partition through it, so for those it does not wait. The files go after the
-- locks. The number is what the day's ids span, found by two steps into an index: ids that were drawn and rolled back are
-- in it, but unlike the statistics of a partition it is there without an analyze, and not as old as that.
create function dataqueue.drop_event_day(before timestamptz) returns bigint language plpgsql
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

-- The tags of a job as they are now, see current_specs; for an event of a job that has some.
create function dataqueue.current_tags(job_id uuid) returns text[] language sql volatile strict as $$
    select tags from dataqueue.job_spec where id = job_id
$$;

-- The step logs of jobs as they are now, see current_specs: of each, unless it is large, a JSON array of name, kind, outcome,
-- value (its text, so that nobody reads numbers into it), token and end of sleep of each step, in the order of storing.
create function dataqueue.current_steps(ids uuid[])
returns table (job_id uuid, steps json) language sql volatile strict rows 100 as $$
    with small as materialized (
        select s.job_id from dataqueue.step s where s.job_id = any(ids)
        group by s.job_id having count(*) <= 100 and coalesce(sum(pg_column_size(s.value)), 0) <= 32768
    )
    select s.job_id, json_agg(json_build_array(s.name, s.kind, s.outcome, cast(s.value as text), s.token_id,
        dataqueue.wire_instant(s.until)) order by s.seq)
    from dataqueue.step s where s.job_id = any(array(select small.job_id from small))
    group by s.job_id
$$;
