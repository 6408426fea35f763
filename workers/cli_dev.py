"""`dataqueue dev`: everything in one command."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from workers.cli_settings import joined, settings_of

# Not the domain's own: help imports nothing of it.
BackendName = Literal["postgres", "redis"]


def dev(  # noqa: PLR0917 - an option each, which nobody calls by position
    context: typer.Context,
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
    backend: Annotated[
        BackendName, typer.Option(envvar="DATAQUEUE_BACKEND", help="Which server to start for the jobs.")
    ] = "postgres",
    host: Annotated[
        str, typer.Option(envvar="DATAQUEUE_HOST", help="Address to listen on; loopback only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="DATAQUEUE_PORT", help="Port to listen on; 0 takes a free one.")] = 8000,
    concurrency: Annotated[int, typer.Option(envvar="DATAQUEUE_CONCURRENCY", help="Jobs that run at a time.")] = 50,
    processes: Annotated[
        int, typer.Option("--processes", "-p", envvar="DATAQUEUE_PROCESSES", help="Worker processes.")
    ] = 1,
) -> None:
    """Run everything on this machine: an embedded PostgreSQL or Redis, its schema, the API and a worker.
    No key is needed.

    The data stays in DATAQUEUE_HOME (~/.local/share/dataqueue), each server's apart; with DATAQUEUE_URL set, that
    server is used instead. Ctrl-C stops all of it and loses nothing; exit code 0.

    \b
    Example:
      dataqueue dev --import shop.handlers --port 8001
      dataqueue dev --backend redis
    """
    from dataqueue.settings import WorkerSettings
    from workers.cli_errors import Refused
    from workers.dev import EXAMPLES, examples_are_here, refuse_another_backend, run_dev
    from workers.logs import configure_logging

    settings = settings_of(
        WorkerSettings,
        imports=joined(imports),
        backend=backend,
        host=host,
        port=port,
        concurrency=concurrency,
        processes=processes,
    )
    source = context.get_parameter_source("backend")
    if settings.url is not None and source is not None and source.name != "DEFAULT":
        refuse_another_backend(settings.url.get_secret_value(), wanted=settings.backend)
    if not settings.import_list:
        if not examples_are_here():
            raise Refused(
                "the examples come with the source tree only; name your handlers: dataqueue dev --import pkg.handlers"
            )
        settings = settings_of(WorkerSettings, imports=EXAMPLES)
    configure_logging()
    raise typer.Exit(run_dev(settings))
