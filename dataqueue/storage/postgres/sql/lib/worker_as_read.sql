-- Select list: a worker (w) as read; what it holds is counted by an index of what is running.
w.id, w.kind, w.job_types, w.started_at, w.last_beat_at, w.draining, (
    select count(*) from dataqueue.job j
    where j.worker_id = w.id and j.status = 'processing' and j.namespace_id = w.namespace_id) as jobs_held
