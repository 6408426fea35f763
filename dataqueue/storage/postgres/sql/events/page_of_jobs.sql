-- The same for a few jobs, whose events are found by their index, all of them.
with candidate as materialized (
    select
-- include: lib/event_as_read.sql
    from dataqueue.event e left join dataqueue.job_type t on t.id = e.job_type_id
    where e.job_id = any(cast(:job_ids as uuid[])) and e.id > :after and e.id <= :until
        and e.namespace_id = :namespace_id
), found as materialized (
    select * from candidate
-- include: lib/event_matches.sql
    order by id limit :limit
)
select short.*, cast(null as bigint) as looked_to from (
-- include: lib/event_cut.sql
) as short order by short.id;
