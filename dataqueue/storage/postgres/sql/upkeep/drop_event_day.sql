-- The oldest day of events, if all of it is older than that. Answers about how many they were; null: there was none, or
-- somebody is in the way.
select dataqueue.drop_event_day(coalesce(cast(:at as timestamptz), now()) - :keep * interval '1 second') as dropped;
