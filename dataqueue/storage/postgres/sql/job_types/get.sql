-- One type.
-- include: lib/job_type_as_read.sql
    and t.name = :name;
