-- CTE: type_total (job_type_id and the counts) of the namespace's types that have jobs: what was folded and what was not.
type_total as materialized (
    select job_type_id,
-- include: lib/added_up.sql
    from (
        select job_type_id, pending, processing, waiting, completed, failed, cancelled
        from dataqueue.type_count where namespace_id = :namespace_id
        union all
        select job_type_id,
-- include: lib/pivoted.sql
        from dataqueue.type_delta where namespace_id = :namespace_id group by job_type_id
    ) as part group by job_type_id
    having sum(pending + processing + waiting + completed + failed + cancelled) > 0
)
