-- What durable handlers rest on: the log of their steps, tokens, and the secret that URLs are signed with.
alter table dataqueue.job add column has_steps boolean not null default false;
-- What a durable handler has done and waits for, by name, in the order of seq. A wait for a token is open until its outcome
-- is stored: these rows are the list of who waits, found by step_awaiting. awaited_by is the invocation that went to wait.
create table dataqueue.step (
    job_id uuid, name text, kind text not null, outcome text, value json, token_id uuid, until timestamptz, awaited_by int,
    at timestamptz not null, seq bigint generated always as identity, primary key (job_id, name)) with (fillfactor = 90);
create index step_awaiting on dataqueue.step (token_id, job_id) where kind = 'token' and outcome is null;
-- Tokens, and who made them. waking: it has ended, and not all who wait for it have heard of that yet.
create table dataqueue.token (
    id uuid primary key, namespace_id int not null, job_id uuid, name text, status text not null default 'waiting',
    output json, tags text[], timeout_at timestamptz, created_at timestamptz not null, ended_at timestamptz,
    waking boolean not null default false) with (fillfactor = 90);
create index token_newest on dataqueue.token (namespace_id, created_at, id);
create index token_by_status on dataqueue.token (namespace_id, status, created_at, id);
-- Each costs only the tokens that it is for.
create index token_due on dataqueue.token (timeout_at) where status = 'waiting' and timeout_at is not null;
create index token_waking on dataqueue.token (id) where waking;
create index token_of_job on dataqueue.token (job_id) where job_id is not null;
create index token_ended on dataqueue.token (ended_at) where job_id is null and status <> 'waiting';
-- What URLs are signed with that complete a token without a key.
create table dataqueue.signing (is_it boolean primary key default true check (is_it), secret bytea not null);

-- The step logs of jobs as they are now, see current_specs: of each, unless it is large, a JSON array of name, kind, outcome,
-- value (its text, so that nobody reads numbers into it), token and end of sleep of each step, in the order of storing.
create function dataqueue.current_steps(ids uuid[])
returns table (job_id uuid, steps json) language sql volatile strict rows 100 as $$
    with small as materialized (
        select s.job_id from dataqueue.step s where s.job_id = any(ids)
        group by s.job_id having count(*) <= 100 and coalesce(sum(pg_column_size(s.value)), 0) <= 32768
    )
    select s.job_id, json_agg(json_build_array(s.name, s.kind, s.outcome, cast(s.value as text), s.token_id,
        dataqueue.wire_instant(s.until)) order by s.seq)
    from dataqueue.step s where s.job_id = any(array(select small.job_id from small))
    group by s.job_id
$$;
