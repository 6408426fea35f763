"""Jobs, their specification and results, events, keys; lanes and edges for what builds on them."""

from pathlib import Path

from alembic import op

from dataqueue.storage.postgres.statements import split_script

revision = "0001"
down_revision = None

_HERE = Path(__file__).parent
_TABLES = (
    "event", "release", "edge", "job_result", "job_tag", "job_spec", "job", "lane", "job_type", "api_key", "namespace",
)  # fmt: skip


def upgrade() -> None:
    for script in ("0001_jobs.sql", "0001_functions.sql"):
        for statement in split_script((_HERE / script).read_text()):
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql("drop view dataqueue.job_read")
    for table in _TABLES:
        connection.exec_driver_sql(f"drop table dataqueue.{table}")
    connection.exec_driver_sql("drop sequence dataqueue.job_seq")
    for function in ("prepare_event_log(int)", "wire_instant(timestamptz)", "uuid7()"):
        connection.exec_driver_sql(f"drop function dataqueue.{function}")
