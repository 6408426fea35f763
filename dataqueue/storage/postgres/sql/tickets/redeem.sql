-- A ticket serves once: whoever deletes it has it.
with taken as (
    delete from dataqueue.event_ticket where digest = :digest returning namespace_id, expires_at
)
select n.name as namespace from taken join dataqueue.namespace n on n.id = taken.namespace_id
where taken.expires_at > coalesce(cast(:at as timestamptz), now());
