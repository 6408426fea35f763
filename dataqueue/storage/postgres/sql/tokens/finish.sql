-- Waiting -> completed or timed_out (:status; null: they have ended, and this goes on), of tokens that this transaction has
-- locked. Every open step that waits for one gets its end, and jobs that wait for it now -> pending, to be resumed; at most
-- :limit of them, and what is left is marked by `waking`. A job that is at work, or waits for something else, finds the end
-- in its step. Jobs are locked before steps, as everywhere. Joins: see steps/save.
with token as materialized (
    select id, namespace_id, job_id, tags, coalesce(cast(:status as text), status) as status,
        case when cast(:status as text) is null then output else cast(cast(:output as text) as json) end as output,
        coalesce(cast(:at as timestamptz), now()) as instant
    from dataqueue.token where id = any(cast(:ids as uuid[]))
), waiter as materialized (
    select job_id, name, token_id, awaited_by from dataqueue.step
    where token_id = any(cast(:ids as uuid[])) and kind = 'token' and outcome is null
    order by token_id, job_id limit :limit
), held as materialized (
    select id, status, invocation from dataqueue.job where id = any(array(select job_id from waiter))
    order by id for no key update
), news as materialized (
    select w.job_id, w.name, h.id is not null as is_there, t.output,
        case t.status when 'completed' then 'ok' else 'timeout' end as outcome,
        (h.status || '') = 'waiting' and h.invocation = w.awaited_by as wakes
    from waiter w full join token t on t.id = w.token_id full join held h on h.id = w.job_id
), heard as (
    update dataqueue.step as s set outcome = n.outcome, value = n.output
    from news n where s.job_id = n.job_id and s.name = n.name and n.is_there
    returning s.job_id
), woken as (
    update dataqueue.job as j set status = 'pending', resumes = true, wake_at = null,
        updated_at = coalesce(cast(:at as timestamptz), now())
    where j.id = any(array(select job_id from news where wakes))
    returning j.id, j.namespace_id, j.job_type_id, j.tagged
), ended as (
    update dataqueue.token as t set status = e.status, output = e.output, ended_at = coalesce(t.ended_at, e.instant),
        waking = (select count(*) from waiter) = :limit
            and t.id >= (select token_id from waiter order by token_id desc limit 1)
    from token e where t.id = e.id and t.id = any(cast(:ids as uuid[]))
    returning
-- include: lib/token_as_read.sql
        , t.waking
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, data, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, job_id, job_type_id, name, data, tags
    from (
        select 1 as part, t.namespace_id, t.job_id,
            (select j.job_type_id from dataqueue.job j where j.id = t.job_id) as job_type_id,
            case t.status when 'completed' then 'token:completed' else 'token:expired' end as name,
            cast('{"token_id":"' || t.id || '"}' as json) as data, t.tags
        from token t where cast(:status as text) is not null
        union all
        select 2, namespace_id, id, job_type_id, 'job:resumed', null, case when tagged then dataqueue.current_tags(id) end
        from woken
    ) as told order by part
), types as (
    select array_agg(distinct y.name) as names from woken w join dataqueue.job_type y on y.id = w.job_type_id
)
select e.*, coalesce(types.names, '{}') as woken, (select count(*) from woken) as moved, (select count(*) from heard) as heard
from ended e cross join types;
