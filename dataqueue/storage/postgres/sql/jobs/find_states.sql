-- Where jobs stand now: tells a repeated report from one that came too late.
select id, invocation, status from dataqueue.job where id = any(cast(:ids as uuid[])) and namespace_id = :namespace_id;
