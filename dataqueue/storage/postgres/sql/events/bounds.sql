-- Up to where events have been removed, and the newest position that was drawn.
select greatest(l.dropped_to, 0) as oldest, case when s.is_called then s.last_value else 0 end as newest
from dataqueue.event_log l cross join dataqueue.event_id_seq s;
