-- Where jobs are kept that came in somebody else's transaction with a type that was not registered.
alter table dataqueue.job_spec add column new_type text;
insert into dataqueue.job_type (id, namespace_id, name) overriding system value values (0, 0, '');
