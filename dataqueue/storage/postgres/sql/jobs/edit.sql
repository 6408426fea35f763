-- Pending -> pending with new values; null leaves what has no flag of its own. Runs in a transaction that has locked the
-- jobs before (jobs/hold, or a sweep), else the tags it takes away would be those of an older snapshot. The trigger counts
-- moves alone, so what tags lose and gain is counted here.
-- Answers the status found of each job there is, and whether it was changed.
with held as materialized (
    select j.id, j.job_type_id, j.status, s.tags
    from dataqueue.job j join dataqueue.job_spec s on s.id = j.id and s.id = any(cast(:ids as uuid[]))
    where j.id = any(cast(:ids as uuid[])) and j.namespace_id = :namespace_id
), changed as (
    update dataqueue.job as j set rank = coalesce(cast(:new_rank as int), j.rank),
        run_at = case when cast(:moves as boolean) then i.starts_at else j.run_at end,
        wake_at = case when not cast(:moves as boolean) then j.wake_at when i.starts_at > i.instant then i.starts_at end,
        pending_reason = case when not cast(:moves as boolean) then j.pending_reason when i.starts_at <= i.instant then null
            when j.pending_reason = 'retry' then 'retry' else 'scheduled' end,
        max_attempts = case when not cast(:limits_attempts as boolean) then j.max_attempts else coalesce(
            cast(:new_max_attempts as int),
            (select cast(t.options ->> 'max_attempts' as int) from dataqueue.job_type t where t.id = j.job_type_id), 3) end,
        tagged = coalesce(cardinality(cast(:new_tags as text[])) > 0, j.tagged), updated_at = i.instant
    from (select now.instant, coalesce(cast(:new_run_at as timestamptz),
            now.instant + cast(:new_delay as float8) * interval '1 second', now.instant) as starts_at
        from (select coalesce(cast(:at as timestamptz), now()) as instant) as now) as i
    where j.id = any(array(select id from held where (status || '') = 'pending'))
    returning j.id, j.namespace_id, j.job_type_id, j.seq, j.created_at, j.run_at, j.max_attempts, j.tagged
), specified as (
    update dataqueue.job_spec as s set payload = coalesce(cast(:new_payload as json), s.payload),
        rank = coalesce(cast(:new_rank as int), s.rank),
        tags = case when cast(:new_tags as text[]) is null then s.tags else nullif(cast(:new_tags as text[]), '{}') end,
        options = case when cast(:new_options as jsonb) is null then s.options else cast(nullif(
            jsonb_strip_nulls(coalesce(cast(s.options as jsonb), '{}') || cast(:new_options as jsonb)), '{}') as json) end
    where s.id = any(array(select id from changed)) and (cast(:new_payload as text) is not null
        or cast(:new_rank as int) is not null or cast(:new_tags as text[]) is not null or cast(:new_options as jsonb) is not null)
), relabelled as (
    select c.id, c.namespace_id, c.seq, c.created_at, tag, n
    from changed c join held h using (id) cross join lateral (
        select tag, -1 as n from unnest(h.tags) as tag where tag <> all(cast(:new_tags as text[]))
        union all
        select tag, 1 from unnest(cast(:new_tags as text[])) as tag where tag <> all(coalesce(h.tags, '{}'))
    ) as difference
), unlabelled as (
    delete from dataqueue.job_tag as t using relabelled r where r.n < 0 and t.namespace_id = r.namespace_id
        and t.tag = r.tag and t.created_at = r.created_at and t.seq = r.seq
), labelled as (
    insert into dataqueue.job_tag (namespace_id, tag, seq, job_id, created_at)
    select namespace_id, tag, seq, id, created_at from relabelled where n > 0
), counted as (
    insert into dataqueue.tag_delta (namespace_id, tag, status, n)
    select namespace_id, tag, 'pending', sum(n) from relabelled group by namespace_id, tag having sum(n) <> 0
), logged as (
    insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name, data, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), namespace_id, id, job_type_id, 'job:edited',
        cast('{"changes":{' || concat_ws(',', cast(:changes as text),
            case when cast(:moves as boolean) then '"run_at":"' || dataqueue.wire_instant(run_at) || '"' end,
            case when cast(:limits_attempts as boolean) then '"max_attempts":' || max_attempts end) || '}}' as json),
        case when tagged then coalesce(cast(:new_tags as text[]), dataqueue.current_tags(id)) end
    from changed
)
select h.id, h.status, t.name as job_type, c.id is not null as is_changed
from held h join dataqueue.job_type t on t.id = h.job_type_id left join changed c on c.id = h.id;
