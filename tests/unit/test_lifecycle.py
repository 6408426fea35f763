"""The one table of the lifecycle agrees with itself, with the contract, and with the names of everything else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from dataqueue.domain.events import EventName
from dataqueue.domain.job import TERMINAL, JobStatus
from dataqueue.domain.lifecycle import TRANSITIONS, Verb, allows
from dataqueue.storage.port import JobStore, Upkeep

ROOT: Final = Path(__file__).parents[2]
PENDING, PROCESSING, WAITING = JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.WAITING
COMPLETED, FAILED, CANCELLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED

# Contract 1 with details A3, A4 and K4.
CONTRACT: Final = {
    (None, Verb.ENQUEUE, PENDING, EventName.ADDED),
    (PENDING, Verb.CLAIM, PROCESSING, EventName.PROCESSING),
    (PROCESSING, Verb.COMPLETE, COMPLETED, EventName.COMPLETED),
    (PROCESSING, Verb.FAIL, PENDING, EventName.FAILED),
    (PROCESSING, Verb.FAIL, FAILED, EventName.FAILED),
    (PROCESSING, Verb.FAIL, CANCELLED, EventName.CANCELLED),
    (PROCESSING, Verb.SUSPEND, WAITING, EventName.WAITING),
    (PROCESSING, Verb.SUSPEND, PENDING, EventName.RESUMED),
    (PROCESSING, Verb.SUSPEND, CANCELLED, EventName.CANCELLED),
    (WAITING, Verb.WAKE, PENDING, EventName.RESUMED),
    (PROCESSING, Verb.NOTE, PROCESSING, EventName.PROGRESS),
    (PROCESSING, Verb.NOTE, PROCESSING, EventName.OUTPUT),
    (PROCESSING, Verb.NOTE, PROCESSING, EventName.PROLONGED),
    (PROCESSING, Verb.RELEASE, PENDING, EventName.RELEASED),
    (PROCESSING, Verb.RELEASE, CANCELLED, EventName.CANCELLED),
    (PROCESSING, Verb.RECLAIM, PENDING, EventName.RECLAIMED),
    (PROCESSING, Verb.RECLAIM, FAILED, EventName.FAILED),
    (PROCESSING, Verb.RECLAIM, CANCELLED, EventName.CANCELLED),
    (PENDING, Verb.CANCEL, CANCELLED, EventName.CANCELLED),
    (WAITING, Verb.CANCEL, CANCELLED, EventName.CANCELLED),
    (PROCESSING, Verb.CANCEL, PROCESSING, None),
    (FAILED, Verb.RETRY, PENDING, EventName.RETRIED),
    (CANCELLED, Verb.RETRY, PENDING, EventName.RETRIED),
    (PENDING, Verb.EDIT, PENDING, EventName.EDITED),
    (COMPLETED, Verb.DELETE, None, None),
    (FAILED, Verb.DELETE, None, None),
    (CANCELLED, Verb.DELETE, None, None),
}
BY_UPKEEP: Final = {Verb.RECLAIM: "reclaim", Verb.WAKE: "stage"}
"""What no worker and no caller does; waking is a part of staging."""
ALL_MOVES: Final = [
    (source, verb, move.to, move.event)
    for verb, moves in TRANSITIONS.items()
    for move in moves
    for source in (move.sources or {None})
]


def test_the_table_is_the_contracts() -> None:
    assert set(ALL_MOVES) == CONTRACT
    assert len(ALL_MOVES) == len(CONTRACT)


def test_every_verb_has_its_moves() -> None:
    assert set(TRANSITIONS) == set(Verb)
    assert all(TRANSITIONS.values())


def test_moves_by_one_verb_from_one_status_are_told_apart_by_their_condition() -> None:
    for verb, moves in TRANSITIONS.items():
        for status in JobStatus:
            conditions = [move.when for move in moves if status in move.sources]
            assert len(set(conditions)) == len(conditions), (verb, status)
            assert len(conditions) < 2 or all(conditions), (verb, status)


def test_one_verb_has_one_way_from_one_status_to_another_unless_the_job_stays_where_it_is() -> None:
    ends = Counter((verb, source, to) for source, verb, to, _ in ALL_MOVES)
    assert {move for move, times in ends.items() if times > 1} == {(Verb.NOTE, PROCESSING, PROCESSING)}


def test_every_status_is_reached_and_every_one_can_be_left_or_is_completed() -> None:
    staying = {(source, to) for source, _, to, _ in ALL_MOVES if to is not None}
    assert {to for _, to in staying} == set(JobStatus)
    assert set(JobStatus) - {source for source, to in staying if source is not to} == {COMPLETED}


def test_only_what_has_ended_can_go_and_everything_that_has_can() -> None:
    assert {source for source, _, to, _ in ALL_MOVES if to is None} == TERMINAL


def test_only_a_processing_job_is_in_the_hands_of_a_worker() -> None:
    for verb in (Verb.COMPLETE, Verb.FAIL, Verb.SUSPEND, Verb.NOTE, Verb.RELEASE, Verb.RECLAIM):
        assert [status for status in JobStatus if allows(verb, status)] == [PROCESSING]


def test_a_verb_is_allowed_exactly_where_it_has_a_move() -> None:
    for verb in Verb:
        for status in JobStatus:
            assert allows(verb, status) is any(source is status and by is verb for source, by, _, _ in ALL_MOVES)


def test_every_event_of_a_job_is_that_of_a_move_or_of_a_dead_letter() -> None:
    of_jobs = {event for event in EventName if event.startswith("job:")}
    assert {event for *_, event in ALL_MOVES if event} | {EventName.DEAD_LETTERED} == of_jobs


@pytest.mark.parametrize("verb", Verb)
def test_a_verb_is_one_method_one_statement_and_one_file_of_tests(verb: Verb) -> None:
    method = BY_UPKEEP.get(verb, verb)
    noun = "upkeep" if verb in BY_UPKEEP else "jobs"
    assert callable(getattr(Upkeep if verb in BY_UPKEEP else JobStore, method))
    assert (ROOT / f"dataqueue/storage/postgres/sql/{noun}/{method}.sql").is_file()
    assert (ROOT / f"tests/storage/test_{verb}.py").is_file()
