-- The namespace at a glance, by one snapshot.
-- The oldest ready job is the oldest among the first five of each type and rank, found by a step into the index of ready
-- jobs; of more than a thousand of these, the first thousand are looked at, high ranks first. A job that was retried, or
-- taken back, keeps its run_at and its place; it is ready since then, not since it was first.
with recursive
-- include: lib/type_totals.sql
, head as (
    select c.job_type_id, first.rank
    from type_total c join dataqueue.job_type t on t.id = c.job_type_id and not t.paused and t.id <> 0  -- no namespace's
    cross join lateral (
        select j.rank from dataqueue.job j
        where j.job_type_id = c.job_type_id and j.status = 'pending' and j.pending_reason is null and j.lane_id is null
        order by j.rank, j.run_at, j.seq limit 1
    ) as first
    where c.pending > 0
    union all
    select h.job_type_id, following.rank
    from head h cross join lateral (
        select j.rank from dataqueue.job j
        where j.job_type_id = h.job_type_id and j.status = 'pending' and j.pending_reason is null and j.lane_id is null
            and j.rank > h.rank
        order by j.rank, j.run_at, j.seq limit 1
    ) as following
), hour as (
    select what, bucket, cast(sum(n) as bigint) as n from (
        select minute, what, bucket, n from dataqueue.minute_count where namespace_id = :namespace_id
        union all
        select minute, what, bucket, n from dataqueue.minute_delta where namespace_id = :namespace_id
    ) as part
    where minute >= date_trunc('minute', coalesce(cast(:at as timestamptz), now())) - interval '1 hour'
    group by what, bucket
)
select
    (select json_object_agg(t.name, to_json(c)) from type_total c join dataqueue.job_type t on t.id = c.job_type_id) as by_type,
    (select cast(extract(epoch from coalesce(cast(:at as timestamptz), now()) - min(ready.since)) as float8)
        from (select * from head limit 1000) as h cross join lateral (
            select greatest(j.run_at, j.updated_at) as since from dataqueue.job j
            where j.job_type_id = h.job_type_id and j.status = 'pending' and j.pending_reason is null and j.lane_id is null
                and j.rank = h.rank
            order by j.rank, j.run_at, j.seq limit 5
        ) as ready) as oldest_ready_age,
    (select json_agg(json_build_array(what, bucket, n)) from hour) as last_hour;
