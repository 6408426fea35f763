-- Select list: the sum of each column of counts.
cast(sum(pending) as bigint) as pending, cast(sum(processing) as bigint) as processing, cast(sum(waiting) as bigint) as waiting,
cast(sum(completed) as bigint) as completed, cast(sum(failed) as bigint) as failed, cast(sum(cancelled) as bigint) as cancelled
