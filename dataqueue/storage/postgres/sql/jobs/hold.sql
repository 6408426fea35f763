-- Lock jobs, so that nobody moves or edits them before the transaction ends. The statement after this one then reads them,
-- and what belongs to them, as they are: it begins with a snapshot of its own.
select id from dataqueue.job where id = any(cast(:ids as uuid[])) and namespace_id = :namespace_id
order by id for no key update;
