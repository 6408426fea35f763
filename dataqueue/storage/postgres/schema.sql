-- The schema as it stands. A test holds it equal to what the revisions in alembic/versions build.
-- Narrow hot row (job), immutable cold row (job_spec), append-only rest. A schema of our own, because the
-- caller's tables live in the same database when jobs are enqueued inside the caller's transaction.
create schema dataqueue;

create table dataqueue.namespace (
    id int generated always as identity primary key, name text not null unique,
    created_at timestamptz not null default now());
insert into dataqueue.namespace (name) values ('default');

create table dataqueue.api_key (
    id uuid primary key, namespace_id int not null references dataqueue.namespace, name text not null,
    digest bytea not null unique, prefix text not null, scopes text[] not null,
    created_at timestamptz not null default now());

create table dataqueue.job_type (
    id int generated always as identity primary key, namespace_id int not null, name text not null,
    paused boolean not null default false, concurrency int, group_concurrency int, running int not null default 0,
    options json, unique (namespace_id, name)) with (fillfactor = 50);
-- Of jobs that came in somebody else's transaction with a type that was not registered, until they are admitted. It is in
-- no namespace, so nobody lists it, claims from it or is told its name; the one that was asked for is job_spec.new_type.
insert into dataqueue.job_type (id, namespace_id, name) overriding system value values (0, 0, '');

-- One lane per (type, group): the only row a limit ever locks. Ungrouped jobs of unlimited types touch none.
create table dataqueue.lane (
    id bigint generated always as identity primary key, job_type_id int not null, group_id text not null,
    ready int not null default 0, running int not null default 0, cap int, opens_at timestamptz,
    served numeric not null default 0, unique (job_type_id, group_id)) with (fillfactor = 50);
create index lane_open on dataqueue.lane (job_type_id, served)
    where ready > 0 and opens_at is null and (cap is null or running < cap);

-- Hot: everything a transition writes, nothing else. seq is the order of enqueue, drawn here and not from an id's clock.
-- rank is -priority: one ascending row comparison (rank, run_at, seq) is then the claimer's low-water mark.
-- Where each entry of an index is another, looking for equal ones before a page is split is a waste: deduplicate_items = off.
create sequence dataqueue.job_seq cache 1;
create table dataqueue.job (
    id uuid primary key, seq bigint not null default nextval('dataqueue.job_seq'), namespace_id int not null,
    job_type_id int not null, lane_id bigint, rank int not null default 0, status text not null default 'pending',
    pending_reason text, run_at timestamptz not null, wake_at timestamptz, blockers int not null default 0,
    attempts int not null default 0, max_attempts int not null default 3, crashes smallint not null default 0,
    invocation int not null default 0, has_dependents boolean not null default false,
    resumes boolean not null default false, cancel_requested boolean not null default false, worker_id text,
    locked_at timestamptz, lease_expires_at timestamptz, started_at timestamptz, ended_at timestamptz,
    updated_at timestamptz not null, last_failed_at timestamptz, last_retried_at timestamptz,
    last_cancelled_at timestamptz, created_at timestamptz not null, tagged boolean not null default false,
    has_steps boolean not null default false)
    with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000,
          autovacuum_vacuum_cost_delay = 1, autovacuum_vacuum_insert_scale_factor = 0.02);
create index job_ready on dataqueue.job (job_type_id, rank, run_at, seq) with (deduplicate_items = off)
    where status = 'pending' and pending_reason is null and lane_id is null;
create index job_ready_in_lane on dataqueue.job (lane_id, rank, run_at, seq)
    where status = 'pending' and pending_reason is null and lane_id is not null;
-- run_at, next attempt and wait share one column: what is due is one indexed read.
create index job_due on dataqueue.job (wake_at) where status in ('pending', 'waiting') and wake_at is not null;
-- On the worker, not on lease_expires_at, so that heartbeats touch no indexed column (heap-only updates).
create index job_running on dataqueue.job (worker_id) where status = 'processing';
-- Lists go by (created_at, seq), so that a range of created_at is a range of each of these indexes. Processing jobs are
-- few and found by job_running; without them a claim writes fewer index entries. Completed ones of a type are found among
-- all of the type (job_spec_by_type), or all completed ones, whichever are fewer: that spares each job an entry.
create index job_by_status on dataqueue.job (namespace_id, status, created_at, seq) with (deduplicate_items = off) where status <> 'processing';
create index job_by_type on dataqueue.job (job_type_id, status, created_at, seq) with (deduplicate_items = off)
    where status <> 'processing' and status <> 'completed';
-- Lists by run_at: what may run at once is found by created_at.
create index job_later on dataqueue.job (namespace_id, created_at, seq, run_at) where run_at <> created_at;

-- Cold: written once. json, not jsonb: the text comes back as it went in.
create table dataqueue.job_spec (
    id uuid primary key, namespace_id int not null, job_type_id int not null, seq bigint not null,
    payload json not null, tags text[], group_id text, group_tier text, idempotency_key text, cron_id uuid,
    cron_tick timestamptz, options json, created_at timestamptz not null, rank int not null default 0, new_type text);
create index job_spec_newest on dataqueue.job_spec (namespace_id, created_at, seq);
create unique index job_spec_idempotency on dataqueue.job_spec (namespace_id, idempotency_key)
    where idempotency_key is not null;
create unique index job_spec_tick on dataqueue.job_spec (cron_id, cron_tick) where cron_id is not null;
create index job_spec_by_type on dataqueue.job_spec (job_type_id, created_at, seq);
-- Each costs only the jobs that have what it finds.
create index job_spec_by_group on dataqueue.job_spec (namespace_id, group_id, created_at, seq) where group_id is not null;
create index job_spec_by_cron on dataqueue.job_spec (cron_id, created_at, seq) where cron_id is not null;
create index job_spec_by_rank on dataqueue.job_spec (namespace_id, rank, created_at, seq) where rank <> 0;
create table dataqueue.job_tag (
    namespace_id int, tag text, seq bigint, job_id uuid not null, created_at timestamptz,
    primary key (namespace_id, tag, created_at, seq));

-- Rare and wide: a plain successful job without output has no row here.
create table dataqueue.job_result (
    id uuid primary key, output json, progress smallint, failure_reason text, error_history jsonb,
    dead_letter_job_id uuid, dead_lettered_at timestamptz) with (fillfactor = 80);

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

-- Dependencies: the deleted edge is the fence of a release; fan-out is drained from `release` in batches.
create table dataqueue.edge (parent uuid, child uuid, primary key (parent, child));
create index edge_child on dataqueue.edge (child);
create table dataqueue.release (
    id bigint generated always as identity primary key, parent uuid not null, outcome text not null);

-- Position = id (identity, cache 1), drawn after the job's row is locked. Partitions by day, made ahead of time;
-- the default one keeps events from failing when nobody did. tags: those of the job at that moment.
create table dataqueue.event (
    id bigint generated always as identity (cache 1), at timestamptz not null, namespace_id int not null,
    job_id uuid, job_type_id int, name text not null, data json, tags text[]) partition by range (at);
create index event_position on dataqueue.event (id) with (deduplicate_items = off);
create index event_of_job on dataqueue.event (job_id, id) with (deduplicate_items = off);
create table dataqueue.event_default partition of dataqueue.event default;
-- Of the events up to dropped_to some have been removed: who has not read them by then has missed them.
create table dataqueue.event_log (is_it boolean primary key default true check (is_it), dropped_to bigint not null);
insert into dataqueue.event_log (dropped_to) values (0);
-- One-time passes to the stream, for those who cannot send a key.
create table dataqueue.event_ticket (
    digest bytea primary key, namespace_id int not null, expires_at timestamptz not null);
create index event_ticket_by_expiry on dataqueue.event_ticket (expires_at);

-- Who works. A row is written every few seconds; what a worker holds is counted by job_running.
create table dataqueue.worker (
    namespace_id int not null, id text not null, kind text not null, job_types text[] not null,
    draining boolean not null default false, started_at timestamptz not null, last_beat_at timestamptz not null,
    primary key (namespace_id, id)) with (fillfactor = 50);
