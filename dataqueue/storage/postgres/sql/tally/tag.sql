-- One tag.
select tag,
-- include: lib/added_up.sql
from (
    select tag, pending, processing, waiting, completed, failed, cancelled
    from dataqueue.tag_count where namespace_id = :namespace_id and tag = :tag
    union all
    select tag,
-- include: lib/pivoted.sql
    from dataqueue.tag_delta where namespace_id = :namespace_id and tag = :tag group by tag
) as part group by tag
having sum(pending + processing + waiting + completed + failed + cancelled) > 0;
