-- Many jobs in the transaction of whoever runs this, in order: dataqueue_enqueue for each. All of it travels as one JSON
-- text, because that every driver can bind.
select cast(e.id as text) as id, e.status, e.created
from rows from (json_to_recordset(cast(cast(:jobs as text) as json)) as (
    namespace text, id uuid, job_type text, payload json, priority int, run_at timestamptz, delay interval, tags text[],
    idempotency_key text, max_attempts int, timeout_ms bigint, retry_delay float8, retry_backoff boolean,
    retry_delay_max float8, dead_letter_job_type text, force_kill_on_timeout boolean
)) with ordinality as g
cross join lateral public.dataqueue_enqueue(
    job_type => g.job_type, payload => coalesce(g.payload, 'null'), priority => g.priority, run_at => g.run_at,
    delay => g.delay, tags => g.tags, idempotency_key => g.idempotency_key, max_attempts => g.max_attempts,
    timeout_ms => g.timeout_ms, retry_delay => g.retry_delay, retry_backoff => g.retry_backoff,
    retry_delay_max => g.retry_delay_max, dead_letter_job_type => g.dead_letter_job_type, id => g.id,
    namespace => g.namespace, force_kill_on_timeout => g.force_kill_on_timeout
) as e
order by g.ordinality;
