"""Enqueueing from SQL, in the caller's transaction."""

from pathlib import Path

from alembic import op

from dataqueue.errors import StorageNotReady
from dataqueue.storage.postgres.statements import split_script

revision = "0003"
down_revision = "0002"

_HERE = Path(__file__).parent


def upgrade() -> None:
    connection = op.get_bind()
    if not connection.exec_driver_sql("select has_schema_privilege('public', 'create')").scalar():
        raise StorageNotReady("grant create on schema public to the role that migrates: dataqueue_enqueue goes there")
    for script in ("0003_admitting.sql", "0003_enqueue_checks.sql", "0003_enqueue_function.sql"):
        for statement in split_script((_HERE / script).read_text()):
            connection.exec_driver_sql(statement)


def downgrade() -> None:
    for statement in split_script((_HERE / "0003_down.sql").read_text()):
        op.get_bind().exec_driver_sql(statement)
