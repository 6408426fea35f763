"""What a storage answers, beside values of the domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dataqueue.domain.events import Event
from dataqueue.domain.filters import Position
from dataqueue.domain.job import Job
from dataqueue.domain.tokens import Token, TokenPosition


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs of a list, and where it goes on; `next` None: that was all.

    There may be fewer than asked for, even none, and yet a `next`: a page looks at a bounded number of jobs.
    """

    jobs: list[Job]
    next: Position | None


@dataclass(frozen=True, slots=True)
class TokenPage:
    """Tokens of a list, and where it goes on, as a JobPage."""

    tokens: list[Token]
    next: TokenPosition | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of completing a token. Not `is_first`: it had ended before, or its time was up. `woken`: the types of
    the jobs that resume."""

    token: Token
    is_first: bool
    woken: frozenset[str]


@dataclass(frozen=True, slots=True)
class Expired:
    """How many tokens were timed out, and the types of the jobs that resume. Jobs that were woken for tokens that had
    ended before are among those."""

    count: int
    woken: frozenset[str]


@dataclass(frozen=True, slots=True)
class Swept:
    """What one batch of a bulk change did. `matched`: fit the filter in a status that permits the verb. `changed`:
    really changed, none of them in a dry run. `job_types`: of those changed."""

    matched: int
    changed: int
    job_types: frozenset[str]
    next: Position | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order, and the position up to which the log was looked through."""

    events: list[Event]
    position: int


@dataclass(frozen=True, slots=True)
class LogBounds:
    """Positions between which a log can be read: before the oldest event that is kept, and of the newest one.

    `born`: positions before it, but for 0, are of an earlier log, which is gone as a whole.
    """

    oldest: int
    newest: int
    born: int = 0

    def has_lost(self, position: int) -> bool:
        """Whether events after a position have been removed."""
        return position < self.oldest or 0 < position < self.born


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the end of the logs found.

    `events` follow on those of the look before. `frontiers`: for each namespace the position up to which everything is
    now known: no event will ever appear before it. `more`: there is more to be had at once. `waits`: the newest events
    are not known to be all yet, because transactions that may hold some before them are still open.
    """

    events: list[Event]
    frontiers: Mapping[str, int]
    more: bool
    waits: bool


@dataclass(frozen=True, slots=True)
class Staged:
    """What a round of staging did, and when the next job is due (seconds from now; None: nothing is known)."""

    count: int
    next_due_in: float | None


@dataclass(frozen=True, slots=True)
class Pool:
    """Connections of one process to a storage: in use now, open and idle, and as many as there may be."""

    used: int
    idle: int
    most: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many jobs a round of pruning removed. Not `is_end`: there may be more, asked for again."""

    count: int
    is_end: bool
