-- Those heard of lately, by id.
select
-- include: lib/worker_as_read.sql
from dataqueue.worker w
where w.namespace_id = :namespace_id
    and w.last_beat_at > coalesce(cast(:at as timestamptz), now()) - :live_for * interval '1 second'
order by w.id collate "C";
