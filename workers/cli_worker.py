"""`dataqueue worker`: a supervisor and the processes that run jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli_errors import Refused
from workers.cli_settings import joined, settings_of, split


def worker(  # noqa: PLR0917 - an option each, which nobody calls by position
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            "-i",
            metavar="MODULE",
            help="Module that holds handlers, as pkg.handlers; may be given again. The working directory is"
            " looked in first. Handlers that installed packages announce (entry points 'dataqueue.handlers') are"
            " found without it.  [env var: DATAQUEUE_IMPORT, separated by commas]",
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(envvar="DATAQUEUE_CONCURRENCY", help="Jobs that one process runs at a time.")
    ] = 50,
    processes: Annotated[
        int, typer.Option("--processes", "-p", envvar="DATAQUEUE_PROCESSES", help="Worker processes, spawned.")
    ] = 1,
    job_types: Annotated[
        str | None,
        typer.Option(
            envvar="DATAQUEUE_JOB_TYPES",
            metavar="TYPE,…",
            help="Serve only these job types, separated by commas.",
            show_default="all that have a handler",
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option(envvar="DATAQUEUE_NAMESPACE", help="Namespace whose jobs are run.")
    ] = "default",
    lease: Annotated[
        float,
        typer.Option(
            envvar="DATAQUEUE_LEASE_SECONDS",
            metavar="SECONDS",
            help="Length of a lease. The jobs of a worker that dies run again this much (and at most 2 s) later.",
        ),
    ] = 30,
    poll: Annotated[
        float,
        typer.Option(
            envvar="DATAQUEUE_POLL_SECONDS", metavar="SECONDS", help="Slowest look for work when no hint arrives."
        ),
    ] = 2,
    drain: Annotated[
        float,
        typer.Option(
            envvar="DATAQUEUE_DRAIN_SECONDS",
            metavar="SECONDS",
            help="How long running jobs may finish after SIGTERM or Ctrl-C; then they are given back.",
        ),
    ] = 25,
    max_crashes: Annotated[
        int,
        typer.Option(
            envvar="DATAQUEUE_MAX_CRASHES", help="Crashes of its process after which a job fails as 'crashed'."
        ),
    ] = 3,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            envvar="DATAQUEUE_METRICS_PORT",
            help="Port where the first process serves /metrics for Prometheus; each further one takes the next port."
            " 0 takes free ones.",
            show_default="not served",
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(envvar="DATAQUEUE_METRICS_HOST", help="Address where /metrics is served; it asks for no key.")
    ] = "127.0.0.1",
) -> None:
    """Run jobs: pull them from the storage (DATAQUEUE_URL) and call their handlers.

    A process that dies, whatever a handler did to it, is started again. SIGTERM or Ctrl-C: no new jobs, running ones
    may finish, exit code 0; a second Ctrl-C gives them back at once. Exit code 2: handlers or settings are wrong.

    \b
    Example:
      dataqueue worker --import shop.handlers --processes 2 --concurrency 20
    """
    from dataqueue.settings import WorkerSettings
    from workers.logs import configure_logging
    from workers.running import run_supervised, worker_supervisor

    settings = settings_of(
        WorkerSettings,
        imports=joined(imports),
        concurrency=concurrency,
        processes=processes,
        namespace=namespace,
        lease_seconds=lease,
        poll_seconds=poll,
        drain_seconds=drain,
        max_crashes=max_crashes,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )
    if job_types is not None and not split(job_types):
        raise Refused("--job-types names no job type; leave it out to serve all that have a handler")
    configure_logging()
    raise typer.Exit(run_supervised(worker_supervisor(settings, job_types=split(job_types))))
