-- Nothing -> pending. Rows come in the order of the request, which seq keeps; a conflict (a taken idempotency
-- key or id) leaves its row out. Keys and ids are inserted in order: two writers then
-- wait for each other one way only. Of equal keys the first of the request wins.
with given as materialized (
    select g.*, nextval('dataqueue.job_seq') as seq,
        coalesce(g.run_at, i.instant + g.delay * interval '1 second', i.instant) as starts_at, i.instant
    from (select coalesce(cast(:at as timestamptz), now()) as instant) as i, unnest(
        cast(:ids as uuid[]), cast(:job_type_ids as int[]), cast(:ranks as int[]), cast(:run_ats as timestamptz[]),
        cast(:delays as float8[]), cast(:max_attempts as int[]), cast(:payloads as text[]), cast(:tags as text[]),
        cast(:idempotency_keys as text[]), cast(:options as text[])
    ) as g(id, job_type_id, rank, run_at, delay, max_attempts, payload, tags, idempotency_key, options)
), defaults as materialized (
    select id, cast(options as jsonb) as options, cast(options ->> 'max_attempts' as int) as max_attempts
    from dataqueue.job_type where id = any(cast(:job_type_ids as int[])) and options is not null
), specified as (
    insert into dataqueue.job_spec (id, namespace_id, job_type_id, seq, payload, tags, idempotency_key, options,
        created_at, rank)
    select g.id, :namespace_id, g.job_type_id, g.seq, cast(g.payload as json), cast(g.tags as text[]), g.idempotency_key,
        case when d.id is null then cast(g.options as json) else dataqueue.with_defaults(g.options, d.options) end,
        g.instant, g.rank
    from given g left join defaults d on d.id = g.job_type_id
    order by g.idempotency_key, case when g.idempotency_key is null then g.id end, g.seq
    on conflict do nothing returning id, tags
), added as (
    insert into dataqueue.job (id, seq, namespace_id, job_type_id, rank, status, pending_reason, run_at, wake_at,
        max_attempts, updated_at, created_at, tagged)
    select g.id, g.seq, :namespace_id, g.job_type_id, g.rank, 'pending',
        case when g.starts_at > g.instant then 'scheduled' end, g.starts_at,
        case when g.starts_at > g.instant then g.starts_at end, coalesce(g.max_attempts, d.max_attempts, 3), g.instant,
        g.instant, g.tags is not null
    from given g join specified using (id) left join defaults d on d.id = g.job_type_id order by g.seq
    returning id, seq, job_type_id, created_at
), labelled as (
    insert into dataqueue.job_tag (namespace_id, tag, seq, job_id, created_at)
    select :namespace_id, tag, a.seq, a.id, a.created_at from added a join specified s using (id), unnest(s.tags) as tag
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), :namespace_id, a.id, a.job_type_id, 'job:added', s.tags
    from added a join specified s using (id) order by a.seq
)
select id from added;
