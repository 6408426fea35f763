"""Options that several commands share, written once: a value is made of them before the command runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

Command = Callable[..., None]


def takes(name: str, made_by: Callable[..., Any]) -> Callable[[Command], Command]:
    """Replace a command's parameter by those of `made_by`, which makes its value of them; `--help` has them last."""

    def decorate(command: Command) -> Command:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != name]
        shared = list(inspect.signature(made_by, eval_str=True).parameters.values())

        def run(**given: Any) -> None:
            made = made_by(**{parameter.name: given.pop(parameter.name) for parameter in shared})
            command(**{name: made}, **given)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer looks for
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate
