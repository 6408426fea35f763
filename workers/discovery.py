"""Finds handlers: imports the modules that were named, and those that installed packages announce."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

from workers.shutdown import Leaving

ENTRY_POINTS: Final = "dataqueue.handlers"
OUR_NAMES: Final = frozenset({"alembic", "app", "dataqueue", "workers"})


class HandlersNotLoaded(Exception):
    """A handler module cannot be imported; the message names it and says why, in one sentence."""


def load_handlers(modules: Sequence[str]) -> tuple[str, ...]:
    """Import modules by name, from the working directory too, and every entry point of `dataqueue.handlers`.

    Importing registers the handlers, by `@handler`. Returns the names of the modules. Raises HandlersNotLoaded.
    """
    announced = entry_points(group=ENTRY_POINTS)
    names = [*modules, *(point.module for point in announced)]
    for name in names:
        _refuse_our_names(name)
    if modules:
        _see_working_directory()
    for name in modules:
        _import(name, what=f"handler module {name!r}")
    for point in announced:
        _import(point.module, what=_described(point))
    return tuple(dict.fromkeys(names))


def _refuse_our_names(name: str) -> None:
    top = name.partition(".")[0]
    if top in OUR_NAMES:
        raise HandlersNotLoaded(
            f"handler module {name!r} cannot be used: the name {top!r} belongs to DataQueue itself; rename your package"
        )
    if not all(part.isidentifier() for part in name.split(".")):
        raise HandlersNotLoaded(f"handler module {name!r} is no module name; write it with dots, as in pkg.handlers")


def _see_working_directory() -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def _import(name: str, *, what: str) -> None:
    try:
        importlib.import_module(name)
    except Leaving:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise HandlersNotLoaded(
                f"{what} cannot be found, neither in {Path.cwd()} nor among installed packages"
            ) from error
        raise HandlersNotLoaded(f"{what} cannot be imported: {_told(error)}") from error
    except (Exception, SystemExit) as error:
        # A module may do anything while it is imported.
        raise HandlersNotLoaded(f"{what} cannot be imported: {_told(error)}") from error


def _described(point: EntryPoint) -> str:
    package = point.dist.name if point.dist is not None else "an installed package"
    return f"handler module {point.module!r} (entry point {point.name!r} of {package})"


def _told(error: BaseException) -> str:
    """The error and the line that raised it, which is the line to mend."""
    message = " ".join(str(error).split())
    told = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, SyntaxError):
        return told
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    theirs = [frame for frame in frames if frame.filename != __file__]
    return f"{told} ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else told
