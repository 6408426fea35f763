-- The secret; :fresh where there was none. A statement that finds nothing has lost to another, and is to be repeated.
with made as (
    insert into dataqueue.signing (secret) values (:fresh) on conflict do nothing returning secret
)
select secret from made union all select secret from dataqueue.signing limit 1;
