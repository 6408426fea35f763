"""${message}"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    raise AssertionError("write the statements by hand")


def downgrade() -> None:
    raise AssertionError("write the statements by hand")
