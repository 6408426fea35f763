-- Tokens as read.
select
-- include: lib/token_as_read.sql
from dataqueue.token t where t.id = any(cast(:ids as uuid[])) and t.namespace_id = :namespace_id;
