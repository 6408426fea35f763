-- Workers that have not been heard of for long.
with gone as (
    delete from dataqueue.worker
    where last_beat_at < coalesce(cast(:at as timestamptz), now()) - :silent_for * interval '1 second' returning id
)
select count(*) as removed from gone;
