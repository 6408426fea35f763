-- Tokens that belong to no job. One that is there already is left as it is.
with given as materialized (
    select g.*, coalesce(cast(:at as timestamptz), now()) as instant
    from unnest(cast(:ids as uuid[]), cast(:timeouts as float8[]), cast(:tags as text[]))
        with ordinality as g(id, timeout, tags, place)
), made as (
    insert into dataqueue.token (id, namespace_id, tags, timeout_at, created_at)
    select id, :namespace_id, cast(tags as text[]), instant + timeout * interval '1 second', instant
    from given order by id
    on conflict do nothing returning id
), logged as (
    insert into dataqueue.event (at, namespace_id, name, data, tags)
    select coalesce(cast(:at as timestamptz), clock_timestamp()), :namespace_id, 'token:created',
        cast('{"token_id":"' || id || '"}' as json), cast(tags as text[])
    from given join made using (id) order by place
)
select count(*) as made from made;
