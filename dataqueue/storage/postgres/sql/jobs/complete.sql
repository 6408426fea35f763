-- Processing -> completed, also where a cancel was requested: the work is done. Without an output what was noted stays.
with given as materialized (
    select distinct on (id, invocation) *
    from unnest(cast(:ids as uuid[]), cast(:invocations as int[]), cast(:outputs as text[]))
        as g(id, invocation, output)
), held as materialized (
    select j.id, g.output from dataqueue.job j join given g on g.id = j.id and g.invocation = j.invocation
    where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id and (j.status || '') = 'processing'  -- not an index condition: statistics say "0 processing", design 4
    order by j.id for no key update of j   -- one lock order everywhere: unordered batches deadlock
), done as (
    update dataqueue.job as j set status = 'completed', resumes = false, cancel_requested = false, worker_id = null,
        locked_at = null, lease_expires_at = null, ended_at = i.instant, updated_at = i.instant
    from (select coalesce(cast(:at as timestamptz), now()) as instant) as i
    where j.id = any(array(select id from held))
    returning j.id, j.invocation, j.namespace_id, j.job_type_id, j.attempts, j.tagged
), stored as (
    insert into dataqueue.job_result (id, output)
    select id, cast(output as json) from done join held using (id) where output is not null
    on conflict (id) do update set output = excluded.output
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, data, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:completed',
        cast('{"attempt" : ' || attempts || '}' as json), case when tagged then dataqueue.current_tags(id) end
    from done
)
select id, invocation from done;
