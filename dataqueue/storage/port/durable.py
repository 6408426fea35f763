"""What durable handlers rest on: the step log, and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from dataqueue.domain.job import (
    Json,
    Lease,
)
from dataqueue.domain.steps import NewStep, Step
from dataqueue.domain.tokens import NewToken, Token, TokenFilter, TokenPosition
from dataqueue.storage.answers import (
    Ended,
    TokenPage,
)


class StepLog(Protocol):
    """What the handlers of one namespace's jobs have done. A step goes with its job."""

    async def of_jobs(self, job_ids: Sequence[UUID]) -> list[list[Step]]:
        """The steps of each job, the first stored first; none when there is no such job.

        A sleep is over from its instant on, by the storage's clock.
        """
        ...

    async def save(self, steps: Sequence[tuple[Lease, NewStep]]) -> list[Step | None]:
        """Store steps, each only while its lease is held (None where it is not), and answer what now stands under each
        name: the first write wins, also one of another kind. Answers in order; several steps of one lease are stored in
        the order given. Storing one of kind RUN is told by `step:completed`, making a token by `token:created`.
        """
        ...


class TokenStore(Protocol):
    """The waitpoint tokens of one namespace."""

    async def create(self, tokens: Sequence[NewToken]) -> list[Token]:
        """Make tokens that belong to no job. Made again under the same id, it answers what is there. NotFound: no such
        namespace."""
        ...

    async def get(self, token_id: UUID) -> Token:
        """The token as read; NotFound."""
        ...

    async def page(self, matching: TokenFilter, *, before: TokenPosition | None, limit: int) -> TokenPage:
        """Tokens newest first (by created_at, then id), from after a position."""
        ...

    async def complete(self, token_id: UUID, *, output: Json) -> Ended:
        """Waiting to completed; every job that waits for it now resumes. NotFound.

        Of one that has ended before nothing changes. One whose time is up is timed out by this call.
        """
        ...
