-- Lines of the deltas, at most so many of each, into the counts; what comes to nothing is removed, which costs a look at
-- each row that is changed anyway. One folds at a time; to another there is nothing to fold. No reader can tell: what
-- leaves a delta is in its count by the same act.
with folding as materialized (
    select pg_try_advisory_xact_lock(hashtext('dataqueue.fold_counts')) as alone
), of_types as (
    delete from dataqueue.type_delta
    where ctid = any(array(select ctid from dataqueue.type_delta where (select alone from folding) limit :limit))
    returning namespace_id, job_type_id, status, n
), type_sum as materialized (
    select namespace_id, job_type_id,
-- include: lib/pivoted.sql
    from of_types group by namespace_id, job_type_id
), type_emptied as (
    delete from dataqueue.type_count c using type_sum s
    where c.namespace_id = s.namespace_id and c.job_type_id = s.job_type_id
        and c.pending + s.pending = 0 and c.processing + s.processing = 0 and c.waiting + s.waiting = 0
        and c.completed + s.completed = 0 and c.failed + s.failed = 0 and c.cancelled + s.cancelled = 0
    returning c.namespace_id, c.job_type_id
), type_counted as (
    insert into dataqueue.type_count as c (namespace_id, job_type_id, pending, processing, waiting, completed, failed, cancelled)
    select * from type_sum s
    where (pending, processing, waiting, completed, failed, cancelled) <> (0, 0, 0, 0, 0, 0)
        and not exists (select from type_emptied e where e.namespace_id = s.namespace_id and e.job_type_id = s.job_type_id)
    order by namespace_id, job_type_id
    on conflict (namespace_id, job_type_id) do update set pending = c.pending + excluded.pending,
        processing = c.processing + excluded.processing, waiting = c.waiting + excluded.waiting,
        completed = c.completed + excluded.completed, failed = c.failed + excluded.failed,
        cancelled = c.cancelled + excluded.cancelled
), of_tags as (
    delete from dataqueue.tag_delta
    where ctid = any(array(select ctid from dataqueue.tag_delta where (select alone from folding) limit :limit))
    returning namespace_id, tag, status, n
), tag_sum as materialized (
    select namespace_id, tag,
-- include: lib/pivoted.sql
    from of_tags group by namespace_id, tag
), tag_emptied as (
    delete from dataqueue.tag_count c using tag_sum s
    where c.namespace_id = s.namespace_id and c.tag = s.tag
        and c.pending + s.pending = 0 and c.processing + s.processing = 0 and c.waiting + s.waiting = 0
        and c.completed + s.completed = 0 and c.failed + s.failed = 0 and c.cancelled + s.cancelled = 0
    returning c.namespace_id, c.tag
), tag_counted as (
    insert into dataqueue.tag_count as c (namespace_id, tag, pending, processing, waiting, completed, failed, cancelled)
    select * from tag_sum s
    where (pending, processing, waiting, completed, failed, cancelled) <> (0, 0, 0, 0, 0, 0)
        and not exists (select from tag_emptied e where e.namespace_id = s.namespace_id and e.tag = s.tag)
    order by namespace_id, tag
    on conflict (namespace_id, tag) do update set pending = c.pending + excluded.pending,
        processing = c.processing + excluded.processing, waiting = c.waiting + excluded.waiting,
        completed = c.completed + excluded.completed, failed = c.failed + excluded.failed,
        cancelled = c.cancelled + excluded.cancelled
), of_minutes as (
    delete from dataqueue.minute_delta
    where ctid = any(array(select ctid from dataqueue.minute_delta where (select alone from folding) limit :limit))
    returning namespace_id, minute, what, bucket, n
), too_old as materialized (
    select coalesce(cast(:at as timestamptz), now()) - interval '2 hours' as at
), minute_counted as (
    insert into dataqueue.minute_count as c (namespace_id, minute, what, bucket, n)
    select namespace_id, minute, what, bucket, sum(n) from of_minutes where minute >= (select at from too_old)
    group by namespace_id, minute, what, bucket order by namespace_id, minute, what, bucket
    on conflict (namespace_id, minute, what, bucket) do update set n = c.n + excluded.n
), minute_forgotten as (
    delete from dataqueue.minute_count
    where namespace_id = any(array(select distinct namespace_id from of_minutes)) and minute < (select at from too_old)
)
select (select count(*) from of_types) + (select count(*) from of_tags) + (select count(*) from of_minutes) as folded;
