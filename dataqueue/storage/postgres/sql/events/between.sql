-- Events of some namespaces in the order of the log.
with found as materialized (
    select
-- include: lib/event_as_read.sql
    from dataqueue.event e left join dataqueue.job_type t on t.id = e.job_type_id
    where e.id > :after and e.id <= :until and e.namespace_id = any(cast(:namespace_ids as int[]))
    order by e.id limit :limit
)
-- include: lib/event_cut.sql
order by cut.id;
