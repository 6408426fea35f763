"""`@handler`: which function does which type of job, and what it may say besides returning."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final, TypeVar, get_args, get_type_hints

from dataqueue.context import JobContext
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.durations import parse_duration
from dataqueue.domain.job import Json
from dataqueue.domain.names import NAME_RULE, is_name
from dataqueue.errors import Invalid
from dataqueue.payloads import ANYTHING, reader_of

F = TypeVar("F", bound=Callable[..., object])
Hook = TypeVar("Hook", bound=Callable[[], object])

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_SHAPES: Final = "a handler takes (payload, ctx), (payload) or ()"


class Retry(Exception):
    """Raised by a handler: this attempt failed, try again `after` a while (without it: the job's own delay).

    `after` is a number of seconds, a timedelta, or text like "10m". On the last attempt the job still fails.
    """

    def __init__(self, after: float | timedelta | str | None = None, message: str = "") -> None:
        super().__init__(message or "the handler asked for a retry")
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        self.after = None if seconds is None else parse_duration(seconds, zero=True)


class Reject(Exception):
    """Raised by a handler: this job can never succeed. It fails now, whatever attempts are left."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A function that does one type of job, and how it is called."""

    job_type: str
    function: Callable[..., Any]
    is_async: bool
    place: str
    read: Callable[[Json], Any] | None
    takes_context: bool

    def call(self, job: ClaimedJob, context: JobContext | None) -> Any:
        """Read the payload and call the function; of an async one, the coroutine. Raises InvalidPayload.

        `context` is there where `takes_context`.
        """
        if self.read is None:
            return self.function() if context is None else self.function(context)
        payload = self.read(job.payload)
        return self.function(payload) if context is None else self.function(payload, context)


class HandlerRegistry:
    """The handlers and hooks of one worker."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._starting: list[Callable[[], object]] = []
        self._stopping: list[Callable[[], object]] = []

    @property
    def job_types(self) -> tuple[str, ...]:
        return tuple(self._handlers)

    def __getitem__(self, job_type: str) -> Handler:
        return self._handlers[job_type]

    def handler(self, job_type: str) -> Callable[[F], F]:
        """Let the decorated function do the jobs of a type. It stays callable as it is.

        It takes `(payload, ctx)`, `(payload)` or `()`; `async def` runs on the worker's event loop, `def` in
        a thread. The annotation of `payload` says how it is validated: a pydantic model, a dataclass, a
        TypedDict, or whatever else pydantic can; without one it is plain parsed JSON.
        """
        # Callable: a bare `@handler`.
        if callable(job_type) or not is_name(job_type):
            raise Invalid(f'a handler names its job type, {NAME_RULE}, as in @handler("mail")')
        local_names = sys._getframe(1).f_locals

        def register(function: F) -> F:
            self.add(job_type, function, local_names=local_names)
            return function

        return register

    def add(self, job_type: str, function: Callable[..., object], *, local_names: Mapping[str, Any]) -> None:
        """As `handler` does. `local_names`: where the function was written, for what its annotations name."""
        if not is_name(job_type):
            raise Invalid(f"a job type is {NAME_RULE}; {job_type!r} is none")
        place = _place_of(function)
        if (earlier := self._handlers.get(job_type)) is not None:
            raise Invalid(f"job type {job_type!r} has two handlers: {earlier.place} and {place}")
        try:
            self._handlers[job_type] = _describe(job_type, function, place, local_names)
        except Invalid as error:
            raise Invalid(f"handler of {job_type!r}, {place}: {error}") from error.__cause__

    def on_startup(self, hook: Hook) -> Hook:
        """Call a function, `def` or `async def`, before the worker takes its first job."""
        self._starting.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Call a function, `def` or `async def`, after the worker's last job; last given, first called."""
        self._stopping.append(hook)
        return hook

    async def start_up(self) -> None:
        """Run the start-up hooks. What one raises keeps the worker from starting."""
        for hook in self._starting:
            await _run_hook(hook)

    async def shut_down(self) -> None:
        """Run the shutdown hooks, all of them; an ExceptionGroup says what they raised."""
        errors = []
        for hook in reversed(self._stopping):
            try:
                await _run_hook(hook)
            except Exception as error:  # noqa: BLE001 - the other hooks have things to close, too
                errors.append(error)
        if errors:
            raise ExceptionGroup("shutdown hooks failed", errors)


registry: Final = HandlerRegistry()
"""The one that `@handler`, `@on_startup` and `@on_shutdown` fill."""

handler: Final = registry.handler
on_startup: Final = registry.on_startup
on_shutdown: Final = registry.on_shutdown


async def _run_hook(hook: Callable[[], object]) -> None:
    result = hook()
    if inspect.isawaitable(result):
        await result


def _describe(job_type: str, function: Callable[..., object], place: str, local_names: Mapping[str, Any]) -> Handler:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise Invalid("it is a generator, and a handler returns once")
    parameters = _positional(function)
    context_alone = len(parameters) == 1 and _is_context(parameters[0].annotation)
    if len(parameters) == 2 and not _is_context(parameters[1].annotation, unannotated=True):
        raise Invalid(f"{_SHAPES}; its second parameter {parameters[1].name!r} is no JobContext")
    read = None
    if parameters and not context_alone:
        read = reader_of(_payload_annotation(function, parameters[0], local_names))
    return Handler(
        job_type=job_type,
        function=function,
        is_async=any(map(inspect.iscoroutinefunction, (function, type(function).__call__))),
        place=place,
        read=read,
        takes_context=context_alone or len(parameters) == 2,
    )


def _positional(function: Callable[..., object]) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    odd = [
        parameter.name
        for n, parameter in enumerate(parameters)
        if parameter.kind not in _POSITIONAL or n > 1 or (n == 1 and not _may_be_second(parameter))
    ]
    if odd:
        raise Invalid(f"{_SHAPES}; it has {', '.join(odd)} besides (decorators need functools.wraps)")
    return parameters


def _may_be_second(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty or _is_context(parameter.annotation)


def _is_context(annotation: object, *, unannotated: bool = False) -> bool:
    """The annotation may be text, and its import absent at run time (TYPE_CHECKING): it is not looked up."""
    if annotation is inspect.Parameter.empty:
        return unannotated
    if isinstance(annotation, str):
        return re.search(r"\bJobContext\b", annotation) is not None
    return annotation is JobContext or JobContext in get_args(annotation)


def _payload_annotation(
    function: Callable[..., object], parameter: inspect.Parameter, local_names: Mapping[str, Any]
) -> object:
    if parameter.annotation is inspect.Parameter.empty:
        return ANYTHING
    names = getattr(_plain(function), "__globals__", {})
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return get_type_hints(holder, names, dict(local_names), include_extras=True)[parameter.name]
    # Evaluating an annotation can raise anything; NameError is the usual one.
    except Exception as error:
        raise Invalid(
            f"the annotation of {parameter.name!r} cannot be resolved ({error}); what it names must be "
            "defined or imported at run time, above the handler"
        ) from error


def _place_of(function: Callable[..., object]) -> str:
    plain = _plain(function)
    name = f"{plain.__module__}.{getattr(plain, '__qualname__', type(plain).__qualname__)}"
    code = getattr(plain, "__code__", None)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def _plain(function: Callable[..., object]) -> Any:
    """The function that was written, beneath decorators, partial() and objects that can be called."""
    plain = inspect.unwrap(function)
    if isinstance(plain, functools.partial):
        return _plain(plain.func)
    if hasattr(plain, "__code__") or not hasattr(type(plain).__call__, "__code__"):
        return plain
    return type(plain).__call__
