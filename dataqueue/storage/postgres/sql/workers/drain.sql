-- A live worker is to take no more jobs.
update dataqueue.worker as w set draining = true
where w.namespace_id = :namespace_id and w.id = :id
    and w.last_beat_at > coalesce(cast(:at as timestamptz), now()) - :live_for * interval '1 second'
returning
-- include: lib/worker_as_read.sql
;
