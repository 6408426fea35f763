-- A namespace by name, made if it is new.
insert into dataqueue.namespace (name) values (:name) on conflict (name) do nothing;
