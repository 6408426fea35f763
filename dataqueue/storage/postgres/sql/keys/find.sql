-- Whom a key speaks for.
select n.name as namespace, k.scopes from dataqueue.api_key k join dataqueue.namespace n on n.id = k.namespace_id
where k.digest = :digest;
