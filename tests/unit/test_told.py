"""What a processor's observer makes of what a worker did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from dataqueue.domain.job import Json, Note
from dataqueue.domain.steps import Wait
from dataqueue.ids import new_id
from dataqueue.listeners import Listeners
from dataqueue.processing.leases import Held
from dataqueue.processors import Told
from dataqueue.queue_events import JobProgress, JobWaiting
from tests.unit.claimed import a_claimed_job

SOON = datetime(2030, 1, 1, tzinfo=UTC)


class Ears(Listeners):
    """All that is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def hears(self, event: str) -> bool:
        return True

    def tell(self, event: Any) -> None:
        self.told.append(event)


class AHeld:
    job = a_claimed_job()


HELD = cast(Held, AHeld())


def told_of(*waits: Wait) -> JobWaiting:
    ears = Ears()
    Told(ears, "ann", lambda _error, _source: None).suspended(HELD, waits)
    [event] = ears.told
    assert isinstance(event, JobWaiting)
    return event


def test_a_wait_is_told_by_what_ends_it() -> None:
    token_id = new_id()
    until, token = Wait(name="a", until=SOON), Wait(name="b", token_id=token_id)
    later = Wait(name="c", until=SOON + timedelta(days=1))
    assert (told_of(until).wait_until, told_of(until).token_id) == (SOON, None)
    assert (told_of(token).wait_until, told_of(token).token_id) == (None, token_id)
    assert (told_of(later, token, until).wait_until, told_of(later, token, until).token_id) == (SOON, token_id)


def test_a_while_ends_about_then() -> None:
    wait_until = told_of(Wait(name="a", delay=timedelta(hours=1))).wait_until
    assert wait_until is not None
    assert abs(wait_until - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)


def test_progress_is_told_and_what_else_is_noted_is_not() -> None:
    ears = Ears()
    told = Told(ears, "ann", lambda _error, _source: None)
    for note in (Note(output=Json("1")), Note(progress=0), Note(prolonged_ms=5)):
        told.noted(HELD, note)
    assert ears.told == [JobProgress(job_id=HELD.job.id, job_type=HELD.job.job_type, progress=0)]
