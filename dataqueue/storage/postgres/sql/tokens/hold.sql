-- Lock a token, and say whether its time is up. The statement after this one (tokens/finish) then finds everybody who waits
-- for it: a suspend that did not see this token end has committed before.
select t.status = 'waiting' and t.timeout_at <= coalesce(cast(:at as timestamptz), now()) as is_up,
-- include: lib/token_as_read.sql
from dataqueue.token t where t.id = :id and t.namespace_id = :namespace_id for update;
