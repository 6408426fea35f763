-- Stop or go on handing out jobs of a type; made if it is new, and there from now on, even without any other setting.
insert into dataqueue.job_type as t (namespace_id, name, paused, options) values (:namespace_id, :name, :paused, '{}')
on conflict (namespace_id, name) do update set paused = excluded.paused, options = coalesce(t.options, excluded.options);
