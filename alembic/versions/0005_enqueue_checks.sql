-- What the arguments of dataqueue_enqueue have to be, of which there is one more.
create or replace function dataqueue.refuse(argument text, value text default null) returns void language plpgsql as $$
declare
    name constant text := 'must be 1 to 200 letters, digits or characters of . _ : / @ -';
    span constant text := 'must lie between 0 and 3153600000';
    said constant text[] := case argument
        when 'job_type' then array[name, 'Give the name that a handler is registered under, like emails.welcome.']
        when 'dead_letter_job_type' then array[name, 'Give the type of the job that is made when this one has failed.']
        when 'payload' then array[value, 'Keep what is large or binary elsewhere, and give a reference.']
        when 'priority' then array['must lie between -32768 and 32767', 'Higher goes first; 0 is usual.']
        when 'run_at' then array['must lie between the years 2000 and 2200', 'Leave it out to run the job now.']
        when 'delay' then array['must be positive, at most 100 years, and not given together with run_at',
            'Give an interval like ''10 minutes'', or run_at, or neither to run the job now.']
        when 'tags' then array['must be at most 50 tags of 1 to 200 characters', 'Give them as in array[''a'', ''b''].']
        when 'idempotency_key' then array['must have 1 to 255 characters', 'Give a hash of a longer one.']
        when 'max_attempts' then array['must lie between 1 and 1000', 'Leave it out for what the job type says.']
        when 'timeout_ms' then array['must lie between 1 and 3153600000000', 'It is a number of milliseconds.']
        when 'force_kill_on_timeout' then array['needs timeout_ms', 'Give the time after which the job is to be killed.']
        when 'retry_delay' then array[span, 'It is a number of seconds.']
        when 'retry_delay_max' then array[span, 'It is a number of seconds.']
        when 'id' then array['must be a UUID of version 7', 'Leave it out, and read the id that is made.']
        when 'namespace' then array[format('%L does not exist', value), 'Make a key for it with `dataqueue keys create`.']
    end;
begin
    raise exception using errcode = 'invalid_parameter_value', column = argument, hint = said[2],
        message = format('dataqueue_enqueue: %s %s', argument, said[1]);
end
$$;
