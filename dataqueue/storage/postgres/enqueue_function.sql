-- Enqueueing from SQL, in whatever transaction the caller is in: applied after enqueue_checks.sql.
-- The transaction may stay open for minutes, so it may hold no lock that somebody else needs. A type that nobody has used
-- is therefore not registered here: the job goes under type 0, which nobody claims, with the name in new_type, and
-- upkeep/admit gives it its type once it is committed.
create type dataqueue.enqueued as (id uuid, status text, created boolean);

-- Nothing -> pending, when the caller's transaction commits. A repeat of an idempotency key answers the first job.
-- Runs with the rights of its owner: whoever may call it needs no other right.
create function public.dataqueue_enqueue(
    job_type text, payload json default '{}', priority int default 0, run_at timestamptz default null,
    delay interval default null, tags text[] default null, idempotency_key text default null,
    max_attempts int default null, timeout_ms bigint default null, retry_delay float8 default null,
    retry_backoff boolean default null, retry_delay_max float8 default null, dead_letter_job_type text default null,
    id uuid default null, namespace text default 'default', force_kill_on_timeout boolean default null)
returns dataqueue.enqueued language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
    -- Of the call, not of the transaction, which may have begun minutes ago: lists and retention go by created_at.
    instant constant timestamptz := clock_timestamp();
    own_id constant uuid := coalesce(id, dataqueue.uuid7());
    own_rank constant int := -coalesce(priority, 0);
    own_payload constant json := coalesce(payload, '{}');
    own_namespace constant text := coalesce(namespace, 'default');
    own_seq bigint;
    own_tags text[];
    space int;
    type_id int := 0;
    known record;
    starts_at timestamptz;
    options json;
    bad text;
    winner dataqueue.enqueued;
begin
    bad := case
        when job_type is null or job_type !~ '^[A-Za-z0-9._:/@-]{1,200}$' then 'job_type'
        when dead_letter_job_type !~ '^[A-Za-z0-9._:/@-]{1,200}$' then 'dead_letter_job_type'
        when priority not between -32768 and 32767 then 'priority'
        when run_at is not null and delay is not null then 'delay'
        when run_at < '2000-01-01Z' or run_at >= '2201-01-01Z' then 'run_at'
        when extract(epoch from delay) not between 0.000001 and 3153600000 then 'delay'
        when cardinality(tags) > 50 or array_ndims(tags) > 1 then 'tags'
        when char_length(idempotency_key) not between 1 and 255 then 'idempotency_key'
        when max_attempts not between 1 and 1000 then 'max_attempts'
        when timeout_ms not between 1 and 3153600000000 then 'timeout_ms'
        when force_kill_on_timeout and timeout_ms is null then 'force_kill_on_timeout'
        when retry_delay not between 0 and 3153600000 then 'retry_delay'
        when retry_delay_max not between 0 and 3153600000 then 'retry_delay_max'
        when cast(id as text) !~ '^.{14}7.{4}[89ab]' then 'id'
    end;
    if bad is not null then
        perform dataqueue.refuse(bad);
    end if;
    bad := dataqueue.unstorable(cast(own_payload as text));
    if bad is not null then
        perform dataqueue.refuse('payload', bad);
    end if;
    if cardinality(tags) > 0 then
        if exists (select from unnest(tags) as tag where tag is null or char_length(tag) not between 1 and 200) then
            perform dataqueue.refuse('tags');
        end if;
        select array_agg(tag order by place) into own_tags
        from (select tag, min(n) as place from unnest(tags) with ordinality as given(tag, n) group by tag) as once;
    end if;
    select n.id into space from dataqueue.namespace n where n.name = own_namespace;
    if not found then
        perform dataqueue.refuse('namespace', own_namespace);
    end if;
    starts_at := coalesce(run_at, instant + cast(extract(epoch from delay) as float8) * interval '1 second', instant);

    select t.id, t.options into known from dataqueue.job_type t where t.namespace_id = space and t.name = job_type;
    if found and (dead_letter_job_type is null or exists (
        select from dataqueue.job_type t where t.namespace_id = space and t.name = dead_letter_job_type)) then
        type_id := known.id;
    end if;
    options := json_strip_nulls(json_build_object('timeout_ms', timeout_ms, 'retry_delay', retry_delay, 'retry_backoff',
        retry_backoff, 'retry_delay_max', retry_delay_max, 'dead_letter_job_type', dead_letter_job_type,
        'force_kill_on_timeout', nullif(force_kill_on_timeout, false)));
    options := case
        when known.options is not null then dataqueue.with_defaults(cast(options as text), cast(known.options as jsonb))
        when cast(options as text) <> '{}' then options end;

    for attempt in 1..3 loop
        own_seq := nextval('dataqueue.job_seq');
        insert into dataqueue.job_spec (id, namespace_id, job_type_id, seq, payload, tags, idempotency_key, options,
            created_at, rank, new_type)
        values (own_id, space, type_id, own_seq, own_payload, own_tags, dataqueue_enqueue.idempotency_key, options,
            instant, own_rank, case when type_id = 0 then job_type end)
        on conflict do nothing;
        exit when found;
        select j.id, j.status, false into winner from dataqueue.job_spec s join dataqueue.job j on j.id = s.id
        where s.namespace_id = space and s.idempotency_key = dataqueue_enqueue.idempotency_key;
        if found then
            return winner;
        end if;
        if exists (select from dataqueue.job_spec s where s.id = own_id) then
            raise exception using errcode = 'unique_violation', column = 'id',
                message = format('dataqueue_enqueue: a job with the id %s already exists', own_id),
                hint = 'Leave the id out, or give an idempotency_key to be answered with the job that is there.';
        elsif attempt = 3 then
            raise exception using errcode = 'serialization_failure',
                message = 'dataqueue_enqueue: jobs with the same idempotency key keep coming and going';
        end if;
    end loop;
    insert into dataqueue.job (id, seq, namespace_id, job_type_id, rank, pending_reason, run_at, wake_at, max_attempts,
        updated_at, created_at, tagged)
    values (own_id, own_seq, space, type_id, own_rank, case when starts_at > instant then 'scheduled' end, starts_at,
        case when starts_at > instant then starts_at end,
        coalesce(max_attempts, cast(known.options ->> 'max_attempts' as int), 3), instant, instant, own_tags is not null);
    if own_tags is not null then
        insert into dataqueue.job_tag (namespace_id, tag, seq, job_id, created_at)
        select space, tag, own_seq, own_id, instant from unnest(own_tags) as tag;
    end if;
    if type_id <> 0 then
        insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, tags)
        values (clock_timestamp(), space, own_id, type_id, 'job:added', own_tags);
    end if;
    -- A hint as the notifier packs it. The server delivers it at commit, once however many jobs say the same.
    if (type_id = 0 or starts_at <= instant) and current_setting('dataqueue.notify', true) is distinct from 'off' then
        perform pg_notify('dataqueue', concat('["', case when type_id = 0 then 'admit' else 'ready' end, '",',
            to_json(own_namespace), ',[', case when type_id <> 0 then to_json(job_type) end, ']]'));
    end if;
    return row(own_id, cast('pending' as text), true);
end
$$;

revoke execute on function public.dataqueue_enqueue from public;
do $$
begin
    if not exists (select from pg_roles where rolname = 'dataqueue_enqueuer') then
        begin
            create role dataqueue_enqueuer nologin;
        exception when duplicate_object or unique_violation then
            null;  -- roles are shared by all databases of a server: another migration was faster
        end;
    end if;
    grant usage on schema public to dataqueue_enqueuer;
    grant execute on function public.dataqueue_enqueue to dataqueue_enqueuer;
exception when insufficient_privilege then
    raise notice 'this role may not make the role dataqueue_enqueuer: docs/transactions.md says how to do it by hand';
end
$$;
