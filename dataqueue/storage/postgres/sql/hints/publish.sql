-- Tell whoever listens. Alone in its transaction: NOTIFY takes a lock over the whole server at commit.
select pg_notify(:channel, :hint);
