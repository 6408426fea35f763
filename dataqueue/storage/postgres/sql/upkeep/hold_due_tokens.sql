-- Lock tokens whose time is up. What somebody holds is being ended.
select id from dataqueue.token
where status = 'waiting' and timeout_at is not null and timeout_at <= coalesce(cast(:at as timestamptz), now())
    and (cast(:namespace_id as int) is null or namespace_id = :namespace_id)
order by timeout_at limit :limit for update skip locked;
