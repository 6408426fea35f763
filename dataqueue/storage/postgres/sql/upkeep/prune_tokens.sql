-- Tokens that ended longer ago than that and belong to no job. Who waited for them has their end in a step.
with gone as (
    delete from dataqueue.token where id = any(array(
        select id from dataqueue.token
        where job_id is null and status <> 'waiting' and not waking
            and ended_at < coalesce(cast(:at as timestamptz), now()) - :keep * interval '1 second'
            and (cast(:namespace_id as int) is null or namespace_id = :namespace_id)
        order by ended_at limit :limit for update skip locked))
    returning id
)
select count(*) as removed from gone;
