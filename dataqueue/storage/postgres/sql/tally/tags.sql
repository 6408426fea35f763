-- Tags that some job has, in code point order, those after a tag. The prefix is a range: [first, beyond).
-- Of the counts so many are read as asked for and as there are tags with lines not yet folded: those may cancel counts.
with unfolded as materialized (
    select tag,
-- include: lib/pivoted.sql
    from dataqueue.tag_delta
    where namespace_id = :namespace_id and tag >= :first and (cast(:beyond as text) is null or tag < cast(:beyond as text))
        and (cast(:after as text) is null or tag > cast(:after as text))
    group by tag
), folded as (
    select tag, pending, processing, waiting, completed, failed, cancelled from dataqueue.tag_count
    where namespace_id = :namespace_id and tag >= :first and (cast(:beyond as text) is null or tag < cast(:beyond as text))
        and (cast(:after as text) is null or tag > cast(:after as text))
    order by tag limit :limit + (select count(*) from unfolded)
)
select tag,
-- include: lib/added_up.sql
from (select * from folded union all select * from unfolded) as part group by tag
having sum(pending + processing + waiting + completed + failed + cancelled) > 0
order by tag limit :limit;
