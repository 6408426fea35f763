-- The steps of jobs that are gone, and their tokens; those that still wait are to time out, which upkeep does, and then
-- belong to nobody. Waits for whoever holds a token, against the order in which others lock, so its caller waits briefly.
with unlogged as (
    delete from dataqueue.step where job_id = any(cast(:ids as uuid[]))
), held as materialized (
    select id, status, waking from dataqueue.token where job_id = any(cast(:ids as uuid[])) order by id for update
), gone as (
    delete from dataqueue.token where id = any(array(select id from held where status <> 'waiting' and not waking))
)
update dataqueue.token as t set job_id = null, name = null, timeout_at = case when t.status <> 'waiting' then t.timeout_at
    else least(t.timeout_at, coalesce(cast(:at as timestamptz), now())) end
where t.id = any(array(select id from held where status = 'waiting' or waking));
