"""What an attempt ended in: a value. Choosing it is pure, keeping it is one call."""

from __future__ import annotations

from dataclasses import dataclass

from dataqueue.domain.job import Failure, Json
from dataqueue.domain.steps import Wait


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; `output` None when it returned None."""

    output: Json | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised, ran out of time, or was given something it cannot take."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Suspended:
    """The handler waits: it is called again when the first of these is over."""

    waits: tuple[Wait, ...]


@dataclass(frozen=True, slots=True)
class Released:
    """The attempt was cut short by us, not by the job: it is given back."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process the job ran in alone is dead: only the job can be to blame."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The lease was lost, or the job cancelled: nothing is left to say."""


Outcome = Completed | Failed | Suspended | Released | Crashed | Gone
