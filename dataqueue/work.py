"""What a handler's context rests on: a few methods, so that a test needs no database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol, TypeAlias, TypeVar
from uuid import UUID

from dataqueue.domain.job import Note
from dataqueue.domain.steps import NewStep, Step
from dataqueue.domain.tokens import Token

T = TypeVar("T")
OnTimeout: TypeAlias = Callable[[], float | timedelta | None]
"""Says how much more time is needed, milliseconds or a timedelta; None: none."""


class Work(Protocol):
    """The step log of one job, and whoever runs its handler.

    `cancelled`, `note`, `prolong` and `on_timeout` may be used from any thread.
    """

    @property
    def cancelled(self) -> bool:
        """Whether somebody has told this attempt to stop."""
        ...

    async def steps(self) -> Sequence[Step]:
        """The step log as it stands."""
        ...

    async def save_step(self, step: NewStep) -> Step:
        """Store a step, and answer what stands under its name; LeaseLost."""
        ...

    async def token(self, token_id: UUID) -> Token:
        """A token as read; NotFound."""
        ...

    async def callback_url(self, token_id: UUID) -> str:
        """Where an outsider completes a token."""
        ...

    async def call(self, function: Callable[[], T]) -> T:
        """Call a plain function without holding up the event loop."""
        ...

    def note(self, note: Note) -> None:
        """Keep what the handler says; several notes in a short while become one."""
        ...

    def prolong(self, ms: int | None) -> None:
        """Let the job's time be up so many milliseconds from now; None: as many as it had at first."""
        ...

    def on_timeout(self, callback: OnTimeout) -> None:
        """Ask for more time when it is up."""
        ...
