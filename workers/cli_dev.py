"""`dataqueue dev`: everything in one command."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli_settings import joined, settings_of


def dev(
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            "-i",
            metavar="MODULE",
            help="Module that holds handlers, as pkg.handlers; may be given again."
            "  [env var: DATAQUEUE_IMPORT, separated by commas]",
            show_default="examples.handlers",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(envvar="DATAQUEUE_HOST", help="Address to listen on; loopback only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="DATAQUEUE_PORT", help="Port to listen on; 0 takes a free one.")] = 8000,
    concurrency: Annotated[int, typer.Option(envvar="DATAQUEUE_CONCURRENCY", help="Jobs that run at a time.")] = 50,
    processes: Annotated[
        int, typer.Option("--processes", "-p", envvar="DATAQUEUE_PROCESSES", help="Worker processes.")
    ] = 1,
) -> None:
    """Run everything on this machine: an embedded PostgreSQL, its schema, the API and a worker. No key is needed.

    The data stays in DATAQUEUE_HOME (~/.local/share/dataqueue); with DATAQUEUE_URL set, that server is used instead.
    Ctrl-C stops all of it and loses nothing; exit code 0.

    \b
    Example:
      dataqueue dev --import shop.handlers --port 8001
    """
    from dataqueue.settings import WorkerSettings
    from workers.cli_errors import Refused
    from workers.dev import EXAMPLES, examples_are_here, run_dev
    from workers.logs import configure_logging

    settings = settings_of(
        WorkerSettings, imports=joined(imports), host=host, port=port, concurrency=concurrency, processes=processes
    )
    if not settings.import_list:
        if not examples_are_here():
            raise Refused(
                "the examples come with the source tree only; name your handlers: dataqueue dev --import pkg.handlers"
            )
        settings = settings_of(WorkerSettings, imports=EXAMPLES)
    configure_logging()
    raise typer.Exit(run_dev(settings))
