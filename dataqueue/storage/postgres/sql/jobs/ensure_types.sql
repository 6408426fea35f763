-- The ids of job types by name; those seen for the first time are made.
with made as (
    insert into dataqueue.job_type (namespace_id, name)
    select :namespace_id, name from unnest(cast(:names as text[])) as name order by name
    on conflict do nothing returning id, name
)
select id, name from made
union all
select id, name from dataqueue.job_type where namespace_id = :namespace_id and name = any(cast(:names as text[]));
