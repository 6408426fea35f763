"""The step log of one invocation: what a handler meets again, and whether it is still the same handler."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from dataqueue.domain.steps import (
    LARGEST_LOG,
    LARGEST_STEP,
    MOST_STEPS,
    STEP_NAME_RULE,
    Step,
    StepKind,
    is_step_name,
)
from dataqueue.errors import Invalid, NonDeterministicHandler

_CALLS: Final = {
    StepKind.RUN: "run",
    StepKind.CREATE_TOKEN: "create_token",
    StepKind.SLEEP: "wait_for or wait_until",
    StepKind.TOKEN: "wait_for_token",
}
"""As a handler calls what it stores."""
_FIX: Final = "; put back what was there, or retry the job once code that fits is deployed"
_WAITS: Final = (StepKind.SLEEP, StepKind.TOKEN)


class Replay:
    """What earlier invocations of a job have stored, and what this one has met of it so far."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._stored = {step.name: step for step in steps}
        self._met: set[str] = set()
        self._to_come = len(self._stored)
        self._size: int | None = None
        """Bytes of JSON in the log, once somebody wants to know."""

    def meet(self, name: str, kind: StepKind, *, token_id: UUID | None = None) -> Step | None:
        """What is stored under a name that the handler has come to; None: it comes there for the first time.

        Invalid: a bad name, or one that this invocation has used. NonDeterministicHandler: of another kind, or a wait
        for another token than `token_id`.
        """
        if not is_step_name(name):
            raise Invalid(f"the name of a step is {STEP_NAME_RULE}; {name[:200]!r} is none")
        if name in self._met:
            raise Invalid(f"step {name!r} was used twice in one invocation: each needs a name of its own")
        self._met.add(name)
        step = self._stored.get(name)
        if step is not None:
            self._to_come -= 1
            _check_kind(step, kind)
            if kind is StepKind.TOKEN and step.token_id not in (None, token_id):
                raise NonDeterministicHandler(
                    f"step {name!r}: expected {_CALLS[kind]} of token {step.token_id}, as in an earlier invocation of "
                    f"this job, and found token {token_id}{_FIX}"
                )
        elif len(self._stored) >= MOST_STEPS:
            raise Invalid(f"step {name!r} is one too many: a job has at most {MOST_STEPS}")
        return step

    @property
    def is_behind(self) -> bool:
        """Whether the handler has not come to everything that earlier invocations did."""
        return self._to_come > 0

    def check_room(self, name: str, value: str) -> None:
        """Invalid, if a result is more than is kept of a step, or of a job."""
        size = len(value.encode())
        if size > LARGEST_STEP:
            raise Invalid(f"the result of step {name!r} is {size} bytes of JSON; at most {LARGEST_STEP} can be kept")
        if self._size is None:
            self._size = sum(_size_of(step) for step in self._stored.values())
        if self._size + size > LARGEST_LOG:
            raise Invalid(f"with step {name!r} the steps of this job are more than {LARGEST_LOG} bytes of JSON")

    def add(self, step: Step, *, as_kind: StepKind) -> None:
        """A step was stored, or one by somebody else was found in its place: NonDeterministicHandler, if that is of
        another kind."""
        _check_kind(step, as_kind)
        self._stored[step.name] = step
        if self._size is not None:
            self._size += _size_of(step)

    def check_new_wait(self, name: str, kind: StepKind) -> None:
        """NonDeterministicHandler, if a wait that is not in the log comes before one that is, and was not met."""
        if name in self._stored:
            return
        for step in self._stored.values():
            if step.kind in _WAITS and step.name not in self._met:
                raise NonDeterministicHandler(
                    f"expected {_CALLS[step.kind]} named {step.name!r}, as in an earlier invocation of this job, "
                    f"and found {_CALLS[kind]} named {name!r}{_FIX}"
                )


def _check_kind(step: Step, kind: StepKind) -> None:
    if step.kind is not kind:
        raise NonDeterministicHandler(
            f"step {step.name!r}: expected {_CALLS[step.kind]}, as in an earlier invocation of this job, "
            f"and found {_CALLS[kind]}{_FIX}"
        )


def _size_of(step: Step) -> int:
    return len((step.value or "").encode())
