"""`dataqueue migrate`: the storage's schema."""

from __future__ import annotations

from typing import Annotated

import typer


def migrate(
    revision: Annotated[
        str, typer.Option("--revision", "-r", help="Revision to go to; 'head' is the newest, 'base' drops everything.")
    ] = "head",
) -> None:
    """Bring the schema of the storage (DATAQUEUE_URL; unset: the embedded server) to a revision.

    Redis has none, so there is nothing to do.

    Safe to run again, and from several places at once: what is done already is left alone.

    \b
    Example:
      DATAQUEUE_URL=postgresql://queue@db/queue dataqueue migrate
    """
    import asyncio

    from dataqueue.settings import Settings
    from dataqueue.storage import opening
    from workers.cli_settings import settings_of
    from workers.logs import masked
    from workers.revisions import revisions_taken
    from workers.shutdown import leave_by_exception

    settings = settings_of(Settings)
    leave_by_exception(1)
    with opening.storage_url(settings) as url, revisions_taken() as taken:
        if not asyncio.run(opening.migrate(url, revision=revision)):
            print(f"Nothing to do: {masked(url)} is Redis, which has no schema.")
            return
        for step in taken:
            print(step)
        print(f"{'Done' if taken else 'Nothing to do'}: {masked(url)} is at {revision}.")
