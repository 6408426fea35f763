-- Ready -> processing, highest priority first, then by run_at and order of enqueue.
-- Each type comes with its low-water mark: index entries before it are dead and kept only by somebody's snapshot.
-- Several types: a look at the heads says how many to take of each, so that no row is locked in vain.
with served as materialized (
    select distinct on (t.id) t.id, t.name, m.rank, m.run_at, m.seq
    from unnest(cast(:job_types as text[]), cast(:ranks as int[]), cast(:run_ats as timestamptz[]),
        cast(:seqs as bigint[])) as m(name, rank, run_at, seq)
    join dataqueue.job_type t on t.namespace_id = :namespace_id and t.name = m.name and not t.paused
), share as materialized (
    select id, cast(:limit as bigint) as size from served where cast(:one_type as boolean)
    union all
    select id, count(*) from (
        select s.id from served s cross join lateral (
            select j.rank, j.run_at, j.seq from dataqueue.job j
            where j.job_type_id = s.id and j.status = 'pending' and j.pending_reason is null and j.lane_id is null
                and (j.rank, j.run_at, j.seq) >= (s.rank, s.run_at, s.seq)
            order by j.rank, j.run_at, j.seq limit :limit
        ) as head
        where not cast(:one_type as boolean)
        order by head.rank, head.run_at, head.seq limit :limit
    ) as chosen group by id
), due as materialized (
    select ready.id from share join served s using (id) cross join lateral (
        select j.id from dataqueue.job j
        where j.job_type_id = s.id and j.status = 'pending' and j.pending_reason is null and j.lane_id is null
            and (j.rank, j.run_at, j.seq) >= (s.rank, s.run_at, s.seq)
        order by j.rank, j.run_at, j.seq limit share.size for update skip locked
    ) as ready
), taken as (
    update dataqueue.job as j set status = 'processing', attempts = j.attempts + cast(not j.resumes as int),
        invocation = j.invocation + 1, worker_id = :worker_id, locked_at = i.instant, updated_at = i.instant,
        started_at = coalesce(j.started_at, i.instant), lease_expires_at = i.instant + :lease * interval '1 second'
    from (select coalesce(cast(:at as timestamptz), now()) as instant) as i
    where j.id = any(array(select id from due))  -- by primary key, whatever the planner thinks of the limit above
    returning j.*
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, data, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:processing',
        cast('{"attempt" : ' || attempts || told.rest as json), case when tagged then dataqueue.current_tags(id) end
    from taken, (select ', "worker_id" : ' || to_json(cast(:worker_id as text)) || '}' as rest) as told
)
select j.id, j.seq, t.name as job_type, s.payload, s.tags, j.rank, j.attempts, j.max_attempts, j.crashes,
    j.invocation, s.options, j.run_at, j.created_at, j.locked_at, j.has_steps, l.steps
from taken j
join dataqueue.current_specs(array(select id from due)) s on s.id = j.id  -- not by our snapshot: an edit may be younger
join served t on t.id = j.job_type_id
left join dataqueue.current_steps(array(select id from taken where has_steps)) l on l.job_id = j.id
order by j.rank, j.run_at, j.seq;
