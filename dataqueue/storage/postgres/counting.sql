-- What is counted, so that nobody has to count: applied after functions.sql.
-- Every change of a job's status leaves lines in the delta tables, written in its own transaction by one trigger a
-- statement, so that no statement can forget it. Maintenance folds the lines into the counts; the truth at any moment is
-- the counts plus the lines not yet folded.
create table dataqueue.type_delta (namespace_id int not null, job_type_id int not null, status text not null, n bigint not null);
create table dataqueue.type_count (
    namespace_id int, job_type_id int, pending bigint not null default 0, processing bigint not null default 0,
    waiting bigint not null default 0, completed bigint not null default 0, failed bigint not null default 0,
    cancelled bigint not null default 0, primary key (namespace_id, job_type_id)) with (fillfactor = 50);

-- Tags go by bytes ("C"): a prefix is then a range of the index, and the order is the same everywhere.
create table dataqueue.tag_delta (namespace_id int not null, tag text collate "C" not null, status text not null, n bigint not null);
create table dataqueue.tag_count (
    namespace_id int, tag text collate "C", pending bigint not null default 0, processing bigint not null default 0,
    waiting bigint not null default 0, completed bigint not null default 0, failed bigint not null default 0,
    cancelled bigint not null default 0, primary key (namespace_id, tag)) with (fillfactor = 50);

-- What was added, completed and failed in a minute; of what completed also how long it took, by bucket.
create table dataqueue.minute_delta (
    namespace_id int not null, minute timestamptz not null, what text not null, bucket smallint not null, n bigint not null);
create table dataqueue.minute_count (
    namespace_id int, minute timestamptz, what text, bucket smallint, n bigint not null,
    primary key (namespace_id, minute, what, bucket)) with (fillfactor = 50);

-- Eight buckets an octave of milliseconds: what is read from the middle of one is at most 4.4 % off. 0: a millisecond or less.
create function dataqueue.bucket_of(taken interval) returns smallint language sql immutable parallel safe as $$
    select cast(least(greatest(floor(8 * ln(greatest(date_part('epoch', taken) * 1000, 1)) / ln(2.0::float8)), 0), 400) as smallint)
$$;

-- A session plans these statements once, by the rows of its first call and the tables as they are then. So a plan has to be
-- good for one row and a thousand: joins by hash, job_spec by its key. Without, a session that began with a single job
-- took 109 ms to complete a thousand instead of 35.
create function dataqueue.count_added() returns trigger language plpgsql
set enable_nestloop = off set enable_seqscan = off as $$
begin
    insert into dataqueue.type_delta
    select namespace_id, job_type_id, status, count(*) from added group by namespace_id, job_type_id, status;
    insert into dataqueue.minute_delta
    select namespace_id, date_trunc('minute', created_at), 'added', 0, count(*) from added group by 1, 2;
    if exists (select from added where tagged) then
        insert into dataqueue.tag_delta
        select a.namespace_id, tag, a.status, count(*)
        from added a join dataqueue.job_spec s on s.id = a.id and s.id = any(array(select id from added where tagged)),
            unnest(s.tags) as tag
        group by a.namespace_id, tag, a.status;
    end if;
    return null;
end
$$;

create function dataqueue.count_moved() returns trigger language plpgsql
set enable_nestloop = off set enable_seqscan = off as $$
begin
    insert into dataqueue.type_delta
    select namespace_id, job_type_id, status, sum(n) from (
        select namespace_id, job_type_id, status, -1 as n from before
        union all select namespace_id, job_type_id, status, 1 from after
    ) as moves group by namespace_id, job_type_id, status having sum(n) <> 0;
    if not found then
        return null;
    end if;
    insert into dataqueue.minute_delta
    select a.namespace_id, date_trunc('minute', a.ended_at), a.status,
        case when a.status = 'completed' then dataqueue.bucket_of(a.ended_at - greatest(a.run_at, a.created_at)) else 0 end,
        count(*)
    from after a join before b using (id) where a.status in ('completed', 'failed') and b.status <> a.status
    group by 1, 2, 3, 4;
    if exists (select from after where tagged) then
        insert into dataqueue.tag_delta
        select namespace_id, tag, status, sum(n)
        from (select id, namespace_id, status, -1 as n from before union all select id, namespace_id, status, 1 from after) as m
            join dataqueue.job_spec s using (id, namespace_id), unnest(s.tags) as tag
        where s.id = any(array(select id from after where tagged))
        group by namespace_id, tag, status having sum(n) <> 0;
    end if;
    return null;
end
$$;

-- The specification must still be there: whoever removes a job removes that afterwards, in a statement of its own.
create function dataqueue.count_removed() returns trigger language plpgsql
set enable_nestloop = off set enable_seqscan = off as $$
begin
    insert into dataqueue.type_delta
    select namespace_id, job_type_id, status, -count(*) from removed group by namespace_id, job_type_id, status;
    if exists (select from removed where tagged) then
        insert into dataqueue.tag_delta
        select r.namespace_id, tag, r.status, -count(*)
        from removed r join dataqueue.job_spec s on s.id = r.id and s.id = any(array(select id from removed where tagged)),
            unnest(s.tags) as tag
        group by r.namespace_id, tag, r.status;
    end if;
    return null;
end
$$;

create trigger count_added after insert on dataqueue.job referencing new table as added
    for each statement execute function dataqueue.count_added();
create trigger count_moved after update on dataqueue.job referencing old table as before new table as after
    for each statement execute function dataqueue.count_moved();
create trigger count_removed after delete on dataqueue.job referencing old table as removed
    for each statement execute function dataqueue.count_removed();
