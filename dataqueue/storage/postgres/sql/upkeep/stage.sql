-- Pending or waiting and due -> ready; one that waited resumes. Answers how many, the seconds until the next job or token is
-- due, whether a job is to be admitted (upkeep/admit), found by job_by_type, which has no job that is processing or
-- completed; nor is one under type 0; and whether a token is to be ended, or somebody to be told of one (tokens/finish).
with due as materialized (
    select id, status from dataqueue.job
    where status in ('pending', 'waiting') and wake_at is not null and wake_at <= coalesce(cast(:at as timestamptz), now())
        and (cast(:namespace_id as int) is null or namespace_id = :namespace_id)
    order by wake_at limit :limit for update skip locked
), staged as (
    update dataqueue.job as j set status = 'pending', pending_reason = null, wake_at = null,
        resumes = j.resumes or j.status = 'waiting', updated_at = coalesce(cast(:at as timestamptz), now())
    where j.id = any(array(select id from due))
    returning j.id, j.namespace_id, j.job_type_id, j.tagged
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:resumed',
        case when tagged then dataqueue.current_tags(id) end
    from staged where id = any(array(select id from due where (status || '') = 'waiting'))
)
select (select count(*) from staged) as moved,
    extract(epoch from least((select min(wake_at) from dataqueue.job
        where status in ('pending', 'waiting') and wake_at is not null
            and wake_at > coalesce(cast(:at as timestamptz), now())),
        (select min(timeout_at) from dataqueue.token
            where status = 'waiting' and timeout_at is not null and timeout_at > coalesce(cast(:at as timestamptz), now())))
        - coalesce(cast(:at as timestamptz), now())) as next_due_in,
    exists (select from dataqueue.job where job_type_id = 0 and status <> 'processing' and status <> 'completed'
        and (cast(:namespace_id as int) is null or namespace_id = :namespace_id)) as is_to_admit,
    exists (select from dataqueue.token where status = 'waiting' and timeout_at is not null
        and timeout_at <= coalesce(cast(:at as timestamptz), now())
        and (cast(:namespace_id as int) is null or namespace_id = :namespace_id))
    or exists (select from dataqueue.token where waking
        and (cast(:namespace_id as int) is null or namespace_id = :namespace_id)) as is_to_end;
