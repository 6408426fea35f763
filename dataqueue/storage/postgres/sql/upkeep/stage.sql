-- Pending or waiting and due -> ready. Answers how many, and the seconds until the next is due.
with instant as (
    select coalesce(cast(:at as timestamptz), now()) as now
), due as materialized (
    select id, status from dataqueue.job, instant
    where status in ('pending', 'waiting') and wake_at is not null and wake_at <= instant.now
        and (cast(:namespace_id as int) is null or namespace_id = :namespace_id)
    order by wake_at limit :limit for update of job skip locked
), staged as (
    update dataqueue.job as j set status = 'pending', pending_reason = null, wake_at = null,
        resumes = j.resumes or due.status = 'waiting', updated_at = instant.now
    from due, instant where j.id = due.id
    returning j.id
)
select (select count(*) from staged) as count,
    extract(epoch from (select min(wake_at) from dataqueue.job, instant
        where status in ('pending', 'waiting') and wake_at is not null and wake_at > instant.now)
        - instant.now) as next_due_in
from instant;
