"""The command line. Commands import what they run, when they run: `--help` answers at once.

`dev serve worker migrate keys` run the service here; `jobs tokens events tags stats workers` speak to one over HTTP.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from workers import (
    cli_dev,
    cli_events,
    cli_jobs,
    cli_keys,
    cli_migrate,
    cli_serve,
    cli_stats,
    cli_tokens,
    cli_worker,
    cli_workers,
)
from workers.cli_errors import complain

app = typer.Typer(
    name="dataqueue",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Settings are variables DATAQUEUE_…: the storage is DATAQUEUE_URL (unset: an embedded PostgreSQL), the API"
    " that jobs, tokens, events, tags, stats and workers speak to is DATAQUEUE_API_URL, its key DATAQUEUE_API_KEY.",
)
app.command("dev", short_help="Run everything here: database, API, worker.")(cli_dev.dev)
app.command("serve", short_help="Serve the HTTP API.")(cli_serve.serve)
app.command("worker", short_help="Run jobs with your handlers.")(cli_worker.worker)
app.command("migrate", short_help="Bring the storage's schema up to date.")(cli_migrate.migrate)
app.add_typer(cli_keys.app, name="keys", short_help="Make API keys.")
app.add_typer(cli_jobs.app, name="jobs", short_help="Enqueue, look at and change jobs, over HTTP.")
app.add_typer(cli_tokens.app, name="tokens", short_help="Make, look at and complete what a job can wait for.")
app.command("events", short_help="Follow what happens to jobs.")(cli_events.events)
app.command("tags", short_help="List the tags that jobs have.")(cli_stats.tags)
app.command("stats", short_help="Show how many jobs there are, and how the last hour went.")(cli_stats.stats)
app.add_typer(cli_workers.app, name="workers", short_help="List the live workers, or drain one.")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"dataqueue {version('dataqueue')}")
        raise typer.Exit


@app.callback()
def dataqueue(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A job queue as a service: POST jobs over HTTP from any language, run them in workers.

    Start with `dataqueue dev`: database, API, worker and example handlers in one command.
    """


def main() -> None:
    """Run a command. What is wrong reaches the user as one sentence on stderr: exit code 2 for usage and settings."""
    try:
        app(prog_name="dataqueue")
    except Exception as error:  # noqa: BLE001 - the edge: an error we know is a sentence, another a traceback
        sys.exit(complain(error))


if __name__ == "__main__":
    main()
