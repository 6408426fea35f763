-- Lock jobs under type 0, which are to be admitted. The statement after this one (upkeep/admit) then sees all that has
-- happened to them, for it begins with a snapshot of its own.
select id from dataqueue.job
where job_type_id = 0 and status <> 'processing' and status <> 'completed'  -- as job_by_type has it
    and (cast(:namespace_id as int) is null or namespace_id = :namespace_id)
limit :limit for no key update skip locked;
