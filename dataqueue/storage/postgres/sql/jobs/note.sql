-- Processing -> processing: progress and output are kept, an event tells of each thing noted. Of several notes for one lease
-- the last word counts, and all are told. Joins: see steps/save.
with given as materialized (
    select * from unnest(cast(:ids as uuid[]), cast(:invocations as int[]), cast(:progresses as int[]),
        cast(:outputs as text[]), cast(:prolonged as bigint[]))
        with ordinality as g(id, invocation, progress, output, prolonged_ms, place)
), held as materialized (
    select j.id, j.invocation from dataqueue.job j
    where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id and (j.status || '') = 'processing'
        and coalesce((j.id, j.invocation) in (select id, invocation from given), false)
    order by j.id for no key update of j
), touched as (
    update dataqueue.job as j set updated_at = coalesce(cast(:at as timestamptz), now())
    where j.id = any(array(select id from held))
    returning j.id, j.namespace_id, j.job_type_id, j.tagged
), said as materialized (
    select g.* from given g full join held h on h.id = g.id and h.invocation = g.invocation
    where coalesce(h.id = g.id, false)
), noted as (
    insert into dataqueue.job_result as r (id, progress, output)
    select id, (array_agg(progress order by place desc) filter (where progress is not null))[1],
        cast((array_agg(output order by place desc) filter (where output is not null))[1] as json)
    from said where progress is not null or output is not null group by id
    on conflict (id) do update set progress = coalesce(excluded.progress, r.progress),
        output = coalesce(excluded.output, r.output)
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, data, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), t.namespace_id, t.id, t.job_type_id, told.name,
        cast(told.data as json), case when t.tagged then dataqueue.current_tags(t.id) end
    from said s full join touched t on t.id = s.id cross join lateral (values
        (1, 'job:progress', '{"progress":' || s.progress || '}'), (2, 'job:output', '{"output":' || s.output || '}'),
        (3, 'job:prolonged', '{"prolonged_ms":' || s.prolonged_ms || '}')
    ) as told(part, name, data)
    where told.data is not null order by s.place, told.part
)
select id, invocation from held;
