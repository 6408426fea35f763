-- Keep a key; the namespace must be there.
insert into dataqueue.api_key (id, namespace_id, name, digest, prefix, scopes)
select :id, id, :name, :digest, :prefix, cast(:scopes as text[]) from dataqueue.namespace where name = :namespace
returning created_at;
