-- Steps just done, each while its lease is held and its name is free; tokens are made in the same act. Of two under one name
-- the first of the call is stored. Answers for each place in the call whether the lease is held, and whether it was stored.
-- What the planner takes for one row may be a thousand. So: full joins, which are never done by nested loops, and an `in`
-- that is no condition of its own, which is looked up in a hash.
with given as materialized (
    select * from unnest(cast(:ids as uuid[]), cast(:invocations as int[]), cast(:names as text[]), cast(:values as text[]),
        cast(:token_ids as uuid[]), cast(:timeouts as float8[]), cast(:tags as text[]))
        with ordinality as g(id, invocation, name, value, token_id, timeout, tags, place)
), held as materialized (
    select j.id, j.invocation, j.job_type_id, j.has_steps, j.tagged, coalesce(cast(:at as timestamptz), now()) as instant
    from dataqueue.job j
    where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id and (j.status || '') = 'processing'
        and coalesce((j.id, j.invocation) in (select id, invocation from given), false)
    order by j.id for no key update of j
), wanted as materialized (
    select distinct on (h.id, g.name) h.id, h.job_type_id, h.tagged, h.instant, g.name, g.value, g.token_id, g.timeout,
        g.tags, g.place
    from held h full join given g on g.id = h.id and g.invocation = h.invocation
    where coalesce(g.id = h.id, false)
    order by h.id, g.name, g.place
), stored as (
    insert into dataqueue.step (job_id, name, kind, outcome, value, token_id, at)
    select id, name, case when token_id is null then 'run' else 'create_token' end, 'ok',
        cast(case when token_id is null then coalesce(value, 'null') else '{"id":"' || token_id || '"}' end as json),
        token_id, instant
    from wanted order by place
    on conflict do nothing returning job_id, name
), fresh as materialized (
    select w.* from wanted w full join stored s on s.job_id = w.id and s.name = w.name
    where coalesce(s.job_id = w.id, false)
), marked as (
    update dataqueue.job set has_steps = true
    where id = any(array(select id from held where not has_steps)) and id = any(array(select id from fresh))
), made as (
    insert into dataqueue.token (id, namespace_id, job_id, name, tags, timeout_at, created_at)
    select token_id, :namespace_id, id, name, cast(tags as text[]), instant + timeout * interval '1 second', instant
    from fresh where token_id is not null
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, data, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), :namespace_id, id, job_type_id,
        case when token_id is null then 'step:completed' else 'token:created' end,
        cast(case when token_id is null then '{"step":' || to_json(name) || '}'
            else '{"token_id":"' || token_id || '"}' end as json),
        case when token_id is not null then cast(tags as text[]) when tagged then dataqueue.current_tags(id) end
    from fresh order by place
)
select cast(g.place as int) as place, h.id is not null as is_held, f.id is not null as is_stored
from given g full join held h on h.id = g.id and h.invocation = g.invocation full join fresh f on f.place = g.place;
