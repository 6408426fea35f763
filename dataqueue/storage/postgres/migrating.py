"""Bringing a database to a revision of the schema, by Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from dataqueue.errors import Invalid
from dataqueue.storage.postgres.connecting import connect
from dataqueue.storage.postgres.errors import translated

_ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtext('dataqueue.migrate'))")
_SESSION_SETTINGS = (
    "do $$ declare setting text; begin"
    " foreach setting in array array['plan_cache_mode = force_custom_plan', 'jit = off'] loop"
    " execute format('alter role %I in database %I set ', current_user, current_database()) || setting;"
    " end loop; end $$"
)


def script_folder() -> Path:
    """Where the revisions are: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[2]
    installed = package / "_alembic"
    return installed if installed.is_dir() else package.parent / "alembic"


def head_revision() -> str:
    """The revision that this code needs."""
    head = ScriptDirectory(str(script_folder())).get_current_head()
    assert head is not None
    return head


async def migrate(url: str, *, revision: str = "head") -> None:
    """Upgrade, or downgrade (`-1`, `base`), to a revision, and set what every session of this role needs.

    Invalid: there is no such revision.
    """
    engine = create_async_engine("postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: connect(url))
    try:
        with translated():
            async with engine.begin() as connection:
                await connection.execute(_ONE_AT_A_TIME)
                await connection.run_sync(_move_to, revision)
                await connection.exec_driver_sql(_SESSION_SETTINGS)
                if revision == "head":
                    await connection.exec_driver_sql("select dataqueue.prepare_event_log(7)")
    except CommandError as error:
        raise Invalid(f"cannot migrate to {revision!r}: {error}") from error
    finally:
        await engine.dispose()


def _move_to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(script_folder()))
    config.attributes["connection"] = connection
    if revision == "base" or revision.startswith("-"):
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)
