-- What a server must be like for us to serve from it.
select (select version_num from dataqueue.alembic_version) as revision, pg_is_in_recovery() as is_standby,
    current_setting('plan_cache_mode') as plan_cache_mode, current_setting('jit') as jit;
