-- A worker is there. One that was silent for so long that it counted as gone starts anew.
insert into dataqueue.worker as w (namespace_id, id, kind, job_types, started_at, last_beat_at)
select :namespace_id, :id, :kind, cast(:job_types as text[]), instant, instant
from (select coalesce(cast(:at as timestamptz), now()) as instant) as i
on conflict (namespace_id, id) do update set kind = excluded.kind, job_types = excluded.job_types,
    last_beat_at = greatest(w.last_beat_at, excluded.last_beat_at),
    draining = w.draining and w.last_beat_at > excluded.last_beat_at - :live_for * interval '1 second',
    started_at = case when w.last_beat_at > excluded.last_beat_at - :live_for * interval '1 second' then w.started_at
        else excluded.started_at end
returning draining;
