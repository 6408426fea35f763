"""What a stream of events needs: tags in events, how far the log has been cut off, tickets."""

from pathlib import Path

from alembic import op

from dataqueue.storage.postgres.statements import split_script

revision = "0004"
down_revision = "0003"

_HERE = Path(__file__).parent
_ENQUEUE = "create function public.dataqueue_enqueue"


def upgrade() -> None:
    for script in ("0004_event_stream.sql", "0004_enqueue_function.sql"):
        for statement in split_script((_HERE / script).read_text()):
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    earlier = split_script((_HERE / "0003_enqueue_function.sql").read_text())
    replaced = [each.replace("create", "create or replace", 1) for each in earlier if each.startswith(_ENQUEUE)]
    for statement in (*replaced, *split_script((_HERE / "0004_down.sql").read_text())):
        op.get_bind().exec_driver_sql(statement)
