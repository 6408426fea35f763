"""The step log of a durable job: what its handler has done and waited for, by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from dataqueue.domain.job import Json
from dataqueue.domain.tokens import NewToken

STEP_NAME_RULE: Final = "1 to 200 letters, digits, spaces or characters of . _ : / @ -"
MOST_STEPS: Final = 1000
LARGEST_STEP: Final = 256 << 10
LARGEST_LOG: Final = 4 << 20
"""Steps of a job, bytes of JSON in one of them, and in all of them together."""


class StepKind(StrEnum):
    """What is stored under a name. Another kind under the same name is a handler that has changed.

    RUN: the result of a function. CREATE_TOKEN: a token that was made. SLEEP and TOKEN: a wait for an instant, for a
    token.
    """

    RUN = "run"
    CREATE_TOKEN = "create_token"
    SLEEP = "sleep"
    TOKEN = "token"


class StepOutcome(StrEnum):
    """How a step ended. TIMEOUT: its token expired."""

    OK = "ok"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step as stored. `outcome` None: a wait that is not over. `value`: of one that is `ok`, its result as JSON;
    of a token that was made, `{"id": …}`. `until`: the end of a sleep."""

    name: str
    kind: StepKind
    outcome: StepOutcome | None
    value: Json | None = None
    token_id: UUID | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStep:
    """A step just done, to be stored. `token`: to be made with it, for the job, in the same act; then `value` is not
    given."""

    name: str
    value: Json | None = None
    token: NewToken | None = None

    @property
    def kind(self) -> StepKind:
        return StepKind.RUN if self.token is None else StepKind.CREATE_TOKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What a job is to wait for: exactly one of `until`, `delay` (from when it is stored) and `token_id`."""

    name: str
    until: datetime | None = None
    delay: timedelta | None = None
    token_id: UUID | None = None

    @property
    def kind(self) -> StepKind:
        return StepKind.SLEEP if self.token_id is None else StepKind.TOKEN


def is_step_name(value: str) -> bool:
    """Whether it follows `STEP_NAME_RULE`."""
    return re.fullmatch(r"[A-Za-z0-9._:/@ -]{1,200}", value) is not None
