-- Of found, in order: as many as come to 4 MiB, and one at least. found_to: the last of found.
select cut.* from (
    select f.*, max(f.id) over () as found_to,
        sum(octet_length(cast(f.data as text))) over (order by f.id rows between unbounded preceding and 1 preceding) as before
    from found as f
) as cut
where coalesce(cut.before, 0) < 4194304
