-- Events of days that nobody had made room for, at most so many, oldest first.
with gone as (
    delete from dataqueue.event_default where ctid = any(array(
        select ctid from dataqueue.event_default
        where at < coalesce(cast(:at as timestamptz), now()) - :keep * interval '1 second' order by id limit :limit))
    returning id
), noted as (
    update dataqueue.event_log set dropped_to = greatest(dropped_to, (select max(id) from gone))
    where exists (select from gone)
)
select count(*) as removed from gone;
