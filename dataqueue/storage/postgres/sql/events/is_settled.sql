-- Whether every transaction older than the mark has ended.
select pg_snapshot_xmin(pg_current_snapshot()) > cast(cast(:mark as text) as xid8) as is_settled;
