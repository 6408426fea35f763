-- Processing -> waiting until the first of a job's waits is over; where one is over already, or none is to be awaited,
-- -> pending, to be resumed; cancelled where that was requested.
-- Tokens are locked before jobs, as by whoever ends one: either that has committed, and the lock answers the token as it is
-- now, whatever our snapshot says; or it comes after us, and finds the steps that we store here (decision 15). A name that
-- stands for a token goes on standing for it. Joins: see steps/save.
with given as materialized (
    select id, invocation, name, until, delay, place, case when token_id is null then 'sleep' else 'token' end as kind,
        case when token_id is not null then coalesce((select s.token_id from dataqueue.step s
            where s.job_id = g.id and s.name = g.name and s.kind = 'token'), token_id) end as token_id
    from unnest(cast(:wait_ids as uuid[]), cast(:wait_invocations as int[]), cast(:names as text[]),
        cast(:untils as timestamptz[]), cast(:delays as float8[]), cast(:token_ids as uuid[]))
        with ordinality as g(id, invocation, name, until, delay, token_id, place)
), token as materialized (
    select id, status, output from dataqueue.token
    where id = any(array(select token_id from given where token_id is not null)) and namespace_id = :namespace_id
    order by id for share
), held as materialized (
    select j.id, j.invocation, j.cancel_requested, coalesce(cast(:at as timestamptz), now()) as instant
    from dataqueue.job j
    where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id and (j.status || '') = 'processing'
        and coalesce((j.id, j.invocation) in (select * from unnest(cast(:ids as uuid[]), cast(:invocations as int[]))), false)
        and (select count(*) from token) >= 0  -- so that the tokens are locked first
    order by j.id for no key update of j
), doomed as (
    select id, 0 as moved_on from held where cancel_requested
), wanted as materialized (
    select distinct on (h.id, g.name) h.id, h.invocation, h.instant, g.name, g.kind, g.place, g.token_id,
        case when g.kind = 'sleep' then coalesce(g.until, h.instant + g.delay * interval '1 second') end as until
    from held h full join given g on g.id = h.id and g.invocation = h.invocation
    where coalesce(g.id = h.id and not h.cancel_requested, false)
    order by h.id, g.name, g.place
), awaited as (
    insert into dataqueue.step as s (job_id, name, kind, outcome, value, token_id, until, awaited_by, at)
    select w.id, w.name, w.kind, case when w.kind = 'token' then case coalesce(t.status, 'timed_out')
            when 'timed_out' then 'timeout' when 'completed' then 'ok' end end,
        t.output, w.token_id, w.until, w.invocation, w.instant
    from wanted w full join token t on t.id = w.token_id
    where coalesce(w.place > 0, false)
    order by w.place
    on conflict (job_id, name) do update set awaited_by = excluded.awaited_by, outcome = coalesce(s.outcome, excluded.outcome),
        value = case when s.outcome is null then excluded.value else s.value end
    where s.kind = excluded.kind
    returning s.job_id, s.outcome, s.until, s.token_id, s.seq
), verdict as materialized (
    select id, i.instant, count(seq) > 0 as has_steps, min(until) as until,
        count(seq) = 0 or bool_or(outcome is not null or coalesce(until <= i.instant, false)) as is_over,
        (array_agg(token_id order by seq) filter (where token_id is not null))[1] as token_id
    from (
        select id, null as outcome, null as until, null as token_id, null as seq from held where not cancel_requested
        union all
        select job_id, outcome, until, token_id, seq from awaited
    ) as found, (select coalesce(cast(:at as timestamptz), now()) as instant) as i
    group by id, i.instant
),
-- include: lib/cancelled.sql
, suspended as (
    update dataqueue.job as j set status = case when v.is_over then 'pending' else 'waiting' end, resumes = true,
        wake_at = case when not v.is_over then v.until end, has_steps = j.has_steps or v.has_steps, worker_id = null,
        locked_at = null, lease_expires_at = null, updated_at = v.instant
    from verdict v where j.id = v.id
    returning j.id, j.namespace_id, j.job_type_id, j.tagged, j.wake_at, v.is_over, v.token_id
), suspended_logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, data, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id,
        case when is_over then 'job:resumed' else 'job:waiting' end,
        case when not is_over then cast('{"wait_until":' || coalesce('"' || dataqueue.wire_instant(wake_at) || '"', 'null')
            || ',"token_id":' || coalesce('"' || token_id || '"', 'null') || '}' as json) end,
        case when tagged then dataqueue.current_tags(id) end
    from suspended
)
select id, invocation from held;
