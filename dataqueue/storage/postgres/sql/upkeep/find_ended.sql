-- Jobs that ended longer ago than they are kept for, at most :limit, found on a walk over at most :budget of those created
-- before that: namespace by namespace, status by status, oldest first, from after a place. Says where the walk got to, and
-- whether that is the end. A job cannot have ended before it was created, so each walk is a range of job_by_status; one
-- that was created long ago and ended lately is passed, and met again on the next walk.
with cell as materialized (
    select n.id as namespace_id, cast(k.place as int) as place, k.status, i.instant - k.kept_for * interval '1 second' as horizon
    from dataqueue.namespace n
    cross join unnest(cast(:statuses as text[]), cast(:kept_for as float8[])) with ordinality as k(status, kept_for, place)
    cross join (select coalesce(cast(:at as timestamptz), now()) as instant) as i
    where (cast(:namespace_id as int) is null or n.id = cast(:namespace_id as int))
        and (n.id, k.place) >= (cast(:from_namespace as int), cast(:from_place as int))
    order by n.id, k.place
), walked as materialized (
    select c.namespace_id, c.place, j.id, j.created_at, j.seq, j.ended_at < c.horizon as is_over
    from cell c cross join lateral (
        select id, created_at, seq, ended_at from dataqueue.job
        where namespace_id = c.namespace_id and status = c.status and status <> 'processing' and created_at < c.horizon
            and (created_at, seq) > (
                case when (c.namespace_id, c.place) = (cast(:from_namespace as int), cast(:from_place as int))
                    then cast(:from_created_at as timestamptz) else '-infinity' end,
                case when (c.namespace_id, c.place) = (cast(:from_namespace as int), cast(:from_place as int))
                    then cast(:from_seq as bigint) else 0 end)
        order by created_at, seq limit :budget
    ) as j
    limit :budget
), counted as (
    select *, count(*) filter (where is_over) over (
        order by namespace_id, place, created_at, seq rows unbounded preceding) as found
    from walked
), seen as materialized (
    select * from counted where found <= :limit
)
select array(select id from seen where is_over) as ids,
    (select count(*) from seen) < :budget and (select count(*) from seen) = (select count(*) from walked) as is_end,
    last.namespace_id, last.place, last.created_at, last.seq
from (values (1)) as one left join lateral (
    select * from seen order by namespace_id desc, place desc, created_at desc, seq desc limit 1
) as last on true;
