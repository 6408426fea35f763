-- Select list: what n adds up to in each status, a column each.
cast(coalesce(sum(n) filter (where status = 'pending'), 0) as bigint) as pending,
cast(coalesce(sum(n) filter (where status = 'processing'), 0) as bigint) as processing,
cast(coalesce(sum(n) filter (where status = 'waiting'), 0) as bigint) as waiting,
cast(coalesce(sum(n) filter (where status = 'completed'), 0) as bigint) as completed,
cast(coalesce(sum(n) filter (where status = 'failed'), 0) as bigint) as failed,
cast(coalesce(sum(n) filter (where status = 'cancelled'), 0) as bigint) as cancelled
