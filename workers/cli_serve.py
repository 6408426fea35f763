"""`dataqueue serve`: the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli_settings import settings_of


def serve(
    host: Annotated[
        str, typer.Option(envvar="DATAQUEUE_HOST", help="Address to listen on. Beyond loopback a key must exist.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="DATAQUEUE_PORT", help="Port to listen on; 0 takes a free one.")] = 8000,
    tether: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the HTTP API on the storage (DATAQUEUE_URL), whose schema `dataqueue migrate` makes.

    On an address beyond loopback it refuses to start until `dataqueue keys create` has made a key. SIGTERM or
    Ctrl-C: requests under way are answered, for 10 s at most, exit code 0.

    \b
    Example:
      DATAQUEUE_URL=postgresql://queue@db/queue dataqueue serve --host 0.0.0.0 --port 8000
    """
    from dataqueue.settings import Settings
    from workers.logs import configure_logging
    from workers.serving import serve_api

    settings = settings_of(Settings, host=host, port=port)
    configure_logging()
    raise typer.Exit(serve_api(settings, tether=tether))
