-- Types by name, in code point order, those after a name.
-- include: lib/job_type_as_read.sql
    and (cast(:after as text) is null or t.name collate "C" > cast(:after as text))
order by t.name collate "C" limit :limit;
