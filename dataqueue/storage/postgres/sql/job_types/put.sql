-- Replace what is set for a type; made if it is new.
insert into dataqueue.job_type (namespace_id, name, paused, options) values (:namespace_id, :name, :paused, cast(:options as json))
on conflict (namespace_id, name) do update set paused = excluded.paused, options = excluded.options;
