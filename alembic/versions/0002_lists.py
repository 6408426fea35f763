"""Lists by (created_at, seq), workers, and counts that are kept instead of counted."""

from pathlib import Path

from alembic import op

from dataqueue.storage.postgres.statements import split_script

revision = "0002"
down_revision = "0001"

_HERE = Path(__file__).parent
_COUNT_WHAT_IS_THERE = """
insert into dataqueue.type_delta
select namespace_id, job_type_id, status, count(*) from dataqueue.job group by 1, 2, 3;
insert into dataqueue.tag_delta
select t.namespace_id, t.tag, j.status, count(*)
from dataqueue.job_tag t join dataqueue.job j on j.id = t.job_id group by 1, 2, 3
"""


def upgrade() -> None:
    scripts = [(_HERE / name).read_text() for name in ("0002_lists.sql", "0002_counting.sql")]
    for script in (*scripts, _COUNT_WHAT_IS_THERE):
        for statement in split_script(script):
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for statement in split_script((_HERE / "0002_down.sql").read_text()):
        op.get_bind().exec_driver_sql(statement)
