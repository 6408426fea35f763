-- Events of days that nobody had made room for, at most so many.
with gone as (
    delete from dataqueue.event_default where ctid = any(array(
        select ctid from dataqueue.event_default
        where at < coalesce(cast(:at as timestamptz), now()) - :keep * interval '1 second' limit :limit))
    returning id
)
select count(*) as removed from gone;
