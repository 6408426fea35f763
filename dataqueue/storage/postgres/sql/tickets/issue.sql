-- A ticket; and away with some that have expired.
with gone as (
    delete from dataqueue.event_ticket where digest = any(array(
        select digest from dataqueue.event_ticket where expires_at < coalesce(cast(:at as timestamptz), now())
        order by expires_at limit 100 for update skip locked))
)
insert into dataqueue.event_ticket (digest, namespace_id, expires_at)
values (:digest, :namespace_id, coalesce(cast(:at as timestamptz), now()) + :lifetime * interval '1 second')
returning expires_at;
