"""`dataqueue keys`: API keys, made where the storage is at hand."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from workers.cli_errors import Refused
from workers.cli_settings import settings_of, split

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make the API keys that callers send as `Authorization: Bearer dq_…`.",
)


@app.callback()
def keys() -> None:
    """Keys are kept hashed: one is shown once, when it is made."""


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for, as lists show it.")] = "default",
    scopes: Annotated[
        str,
        typer.Option(
            metavar="SCOPE,…",
            help="What it may do, separated by commas: enqueue, read, work (pull jobs), manage (cancel, retry, edit),"
            " admin (everything, and keys).",
        ),
    ] = "enqueue,read",
    namespace: Annotated[
        str, typer.Option(envvar="DATAQUEUE_NAMESPACE", help="Namespace it belongs to; made when there is none.")
    ] = "default",
    if_none_exist: Annotated[
        bool, typer.Option("--if-none-exist", help="Do nothing when there is any key: for a first start.")
    ] = False,
) -> None:
    """Make an API key and print it, alone, on stdout. It cannot be shown again.

    \b
    Example:
      export DATAQUEUE_API_KEY=$(dataqueue keys create --name shop --scopes enqueue,read)
    """
    import asyncio

    from dataqueue.domain.keys import Scope
    from dataqueue.settings import Settings
    from workers.keymaking import make_key
    from workers.shutdown import leave_by_exception

    unknown = [scope for scope in split(scopes) if scope not in set(Scope)]
    if unknown or not split(scopes):
        raise Refused(f"--scopes: {', '.join(unknown) or 'none given'}; choose from {', '.join(Scope)}")
    if not name.strip():
        raise Refused("--name: say what the key is for, as in --name shop")
    settings = settings_of(Settings, namespace=namespace)
    leave_by_exception(1)
    secret = asyncio.run(
        make_key(
            settings,
            name=name,
            scopes=frozenset(Scope(scope) for scope in split(scopes)),
            if_none_exist=if_none_exist,
        )
    )
    if secret is None:
        print("A key exists already; none was made.", file=sys.stderr)
    else:
        print(secret)
        print(
            f"Key {name!r} for namespace {namespace!r} with scopes {', '.join(split(scopes))};"
            " keep it, for it is not shown again.",
            file=sys.stderr,
        )
