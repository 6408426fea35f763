-- Column: how a step (s) ended; null while it is open. Of a sleep time decides, of a token that is gone nothing is to come.
case when s.outcome is not null then s.outcome
    when s.kind = 'sleep' and s.until <= coalesce(cast(:at as timestamptz), now()) then 'ok'
    when s.kind = 'token' and not exists (select from dataqueue.token t where t.id = s.token_id) then 'timeout' end
