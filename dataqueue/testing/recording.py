"""The context of a handler under test: the real one, which also tells what the handler does."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from dataqueue.context import JobContext
from dataqueue.handlers import Handler
from dataqueue.invocation import Suspension


class Record:
    """What a handler did. `check` is asked before a step's function is called, from any thread; it may raise."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.calls: Final[Counter[str]] = Counter()
        self.exception: BaseException | None = None

    def called(self, step: str) -> None:
        """Just before its function is."""
        self._check()
        self.calls[step] += 1

    def raised(self, error: BaseException) -> None:
        """By the handler. A suspension is no failure."""
        besides = error.split(Suspension)[1] if isinstance(error, BaseExceptionGroup) else error
        if besides is not None and not isinstance(besides, Suspension):
            self.exception = besides


def recorded(handler: Handler, record: Record) -> Handler:
    """The same handler, watched."""
    function = handler.function

    def given(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_Context(one, record) if isinstance(one, JobContext) else one for one in arguments)

    async def call(*arguments: Any) -> Any:
        try:
            return await function(*given(arguments))
        except BaseException as error:
            record.raised(error)
            raise

    def call_sync(*arguments: Any) -> Any:
        try:
            return function(*given(arguments))
        except BaseException as error:
            record.raised(error)
            raise

    return replace(handler, function=call if handler.is_async else call_sync)


class _Context(JobContext):
    __slots__ = ("_record",)

    def __init__(self, context: JobContext, record: Record) -> None:
        super().__init__(context.job, context._work, context._invocation, is_async=context._is_async)
        self._record = record

    def run(self, name: str, function: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        return super().run(name, self._watched(name, function) if callable(function) else function, *args, **kwargs)

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        record = self._record
        if inspect.iscoroutinefunction(function):

            async def call(*args: Any, **kwargs: Any) -> Any:
                record.called(name)
                return await function(*args, **kwargs)

            return call

        def call_sync(*args: Any, **kwargs: Any) -> Any:
            record.called(name)
            return function(*args, **kwargs)

        return call_sync
