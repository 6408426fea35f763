-- Columns of an event as read, of e (an event) and t (its job's type, if it has a job). A job that is not admitted yet has its
-- type in words.
e.id, e.namespace_id, e.name as event, e.job_id, case when e.job_type_id <> 0 then t.name else
    (select coalesce(s.new_type, n.name) from dataqueue.job_spec s join dataqueue.job_type n on n.id = s.job_type_id
        where s.id = e.job_id) end as job_type,
    coalesce(e.tags, '{}') as tags, e.at, e.data
