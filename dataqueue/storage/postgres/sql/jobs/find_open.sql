-- Those of the ids whose job is there and not terminal.
select id from dataqueue.job where id = any(cast(:ids as uuid[])) and namespace_id = :namespace_id
    and (status || '') not in ('completed', 'failed', 'cancelled');
