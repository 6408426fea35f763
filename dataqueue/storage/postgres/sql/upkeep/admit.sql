-- Jobs under type 0 -> under the type they were enqueued with, made if it is new, as is that of their dead letters. They
-- keep their place. What happened to one before it was admitted is told of its type from now on; that it was added is
-- told only here. Runs in a transaction that has locked them (upkeep/hold_new), else an event that was committed while it
-- began would be told of type 0 for ever. Answers how many were admitted: fewer when another process was making a type.
with named as materialized (
    select id, namespace_id, new_type, options ->> 'dead_letter_job_type' as dead_type
    from dataqueue.job_spec where id = any(cast(:ids as uuid[]))
), wanted as materialized (
    select namespace_id, new_type as name from named
    union
    select namespace_id, dead_type from named where dead_type is not null
), made as (
    insert into dataqueue.job_type (namespace_id, name) select namespace_id, name from wanted order by namespace_id, name
    on conflict do nothing returning id, namespace_id, name
), known as materialized (
    select id, namespace_id, name from made
    union all
    select t.id, t.namespace_id, t.name from dataqueue.job_type t join wanted using (namespace_id, name)
), admissible as materialized (
    select n.id, k.id as job_type_id
    from named n join known k on k.namespace_id = n.namespace_id and k.name = n.new_type
), admitted as (
    update dataqueue.job as j set job_type_id = a.job_type_id from admissible a where j.id = a.id
    returning j.id, j.namespace_id, j.job_type_id, j.seq, j.status = 'pending' and j.pending_reason is null as is_ready,
        j.updated_at <> j.created_at as is_touched, j.tagged
), specified as (
    update dataqueue.job_spec as s set job_type_id = a.job_type_id, new_type = null from admissible a where s.id = a.id
), retold as (
    update dataqueue.event as e set job_type_id = a.job_type_id
    from admitted a where a.is_touched and e.job_id = a.id and e.job_type_id = 0
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:added',
        case when tagged then dataqueue.current_tags(id) end
    from admitted order by seq
), hint as (
    select n.name as namespace, cast(json_agg(k.name) as text) as names
    from (select distinct job_type_id from admitted where is_ready) as a
    join known k on k.id = a.job_type_id join dataqueue.namespace n on n.id = k.namespace_id
    group by n.name
), announced as materialized (
    select pg_notify('dataqueue', concat('["ready",', to_json(namespace), ',',
        case when octet_length(names) < 7000 then names else '[]' end, ']'))
    from hint
)
select (select count(*) from admitted) as admitted, (select count(*) from announced) as announced;
