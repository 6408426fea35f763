-- One namespace's events of a stretch of the log that match, oldest first; looks at so many at most. looked_to is the
-- position of the last one looked at where there may be more.
with candidate as materialized (
    select
-- include: lib/event_as_read.sql
    from dataqueue.event e left join dataqueue.job_type t on t.id = e.job_type_id
    where e.id > :after and e.id <= :until and e.namespace_id = :namespace_id
    order by e.id limit :budget
), last as (
    select id as looked_to from candidate order by id offset cast(:budget as bigint) - 1 limit 1
), found as materialized (
    select * from candidate
-- include: lib/event_matches.sql
    order by id limit :limit
)
select short.*, last.looked_to from (select 1) as one left join last on true left join lateral (
-- include: lib/event_cut.sql
) as short on true order by short.id;
