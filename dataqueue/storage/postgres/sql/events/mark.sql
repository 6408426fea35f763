-- A transaction of its own, younger than all that may have drawn a position before this.
select cast(pg_current_xact_id() as text) as mark;
