-- Column: the steps of a job as read (read: id, has_steps) that are over, as one JSON text. A job without pays nothing.
case when not read.has_steps then '{}' else (
    select '{' || coalesce(string_agg(to_json(over.name) || ':' || case over.outcome when 'timeout' then '{"timeout":' || 'true}'
        else '{"ok":' || coalesce(cast(over.value as text), 'null') || '}' end, ',' order by over.seq), '') || '}'
    from (
        select s.name, s.value, s.seq,
-- include: lib/step_outcome.sql
        as outcome
        from dataqueue.step s where s.job_id = read.id
    ) as over where over.outcome is not null
) end as steps
