"""Steps, tokens, and the secret of URLs that complete one; `dataqueue_enqueue` takes `force_kill_on_timeout`."""

from pathlib import Path

from alembic import op

from dataqueue.storage.postgres.statements import split_script

revision = "0005"
down_revision = "0004"

_HERE = Path(__file__).parent
_ENQUEUE = "public.dataqueue_enqueue"
_FORMER = "dataqueue_former_enqueue"
_REFUSE = "create function dataqueue.refuse"
# Whoever was allowed to call the function, by us or by hand, still is.
_HAND_OVER = f"""
do $$
declare
    caller text;
begin
    revoke execute on function {_ENQUEUE} from public;
    for caller in
        select case when a.grantee = 0 then 'public' else quote_ident(r.rolname) end
        from pg_proc p cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
        left join pg_roles r on r.oid = a.grantee
        where p.proname = '{_FORMER}' and p.pronamespace = 'public'::regnamespace and a.grantee <> p.proowner
    loop
        execute 'grant execute on function {_ENQUEUE} to ' || caller;
    end loop;
end
$$
"""


def upgrade() -> None:
    _run("0005_steps.sql", "0005_enqueue_checks.sql")
    _replace_enqueue("0005_enqueue_function.sql")


def downgrade() -> None:
    _replace_enqueue("0004_enqueue_function.sql")
    earlier = split_script((_HERE / "0003_enqueue_checks.sql").read_text())
    [refuse] = [statement for statement in earlier if statement.startswith(_REFUSE)]
    op.get_bind().exec_driver_sql(refuse.replace("create", "create or replace", 1))
    _run("0005_down.sql")


def _replace_enqueue(script: str) -> None:
    """By one with other arguments, which is another function."""
    connection = op.get_bind()
    connection.exec_driver_sql(f"alter function {_ENQUEUE} rename to {_FORMER}")
    _run(script)
    connection.exec_driver_sql(_HAND_OVER)
    connection.exec_driver_sql(f"drop function public.{_FORMER}")


def _run(*scripts: str) -> None:
    for script in scripts:
        for statement in split_script((_HERE / script).read_text()):
            op.get_bind().exec_driver_sql(statement)
