-- Back to revision 0002. What was not admitted yet is: 0002 knows no way to do it. The role stays, since other databases
-- of the server may use it.
drop function public.dataqueue_enqueue;
drop type dataqueue.enqueued;
drop function dataqueue.refuse(text, text);
drop function dataqueue.unstorable(text);

insert into dataqueue.job_type (namespace_id, name)
select namespace_id, new_type from dataqueue.job_spec where new_type is not null
union
select namespace_id, options ->> 'dead_letter_job_type' from dataqueue.job_spec
where new_type is not null and options ->> 'dead_letter_job_type' is not null
on conflict do nothing;
update dataqueue.job_spec s set job_type_id = t.id from dataqueue.job_type t
where s.new_type is not null and t.namespace_id = s.namespace_id and t.name = s.new_type;
update dataqueue.job j set job_type_id = s.job_type_id from dataqueue.job_spec s where s.id = j.id and j.job_type_id = 0;
insert into dataqueue.event (at, namespace_id, job_id, job_type_id, name)
select clock_timestamp(), namespace_id, id, job_type_id, 'job:added' from dataqueue.job_spec where new_type is not null;
delete from dataqueue.job_type where id = 0;
alter table dataqueue.job_spec drop column new_type;
