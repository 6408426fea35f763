-- Partitions for the events of the coming week.
select dataqueue.prepare_event_log(7);
