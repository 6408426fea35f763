"""What every history of operations, told to both backends and to a model, has in common."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus, Json, Lease, NewJob
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.tokens import ANY_TOKEN
from dataqueue.errors import IllegalTransition, NotFound
from dataqueue.ids import new_id
from tests.storage.durable_model import DurableModel, shown
from tests.storage.queue_model import BURIAL, Known
from tests.storage.texts import JSON_TEXTS
from tests.storage.twins import (
    Twins,
    as_step,
    changed,
    events_by_job,
    events_of_tokens,
    name_of,
    pruned,
    staged,
    steps_of,
)

TYPES: Final = ("mail", "fax")
TAGS: Final = ("red", "blue")
WORKERS: Final = ("ann", "bob")
LEASE: Final = timedelta(seconds=30)
MAX_CRASHES: Final = 1
SPANS: Final = (timedelta(microseconds=1), timedelta(seconds=5), LEASE + timedelta(seconds=1), timedelta(hours=2))
PAYLOADS: Final = [text for text in JSON_TEXTS.values() if len(text) < 2000]
BULK: Final = (Verb.CANCEL, Verb.RETRY, Verb.EDIT, Verb.DELETE)
RECENT: Final = st.sampled_from((0, 0, 0, 0, 1, 1, 2, 3, 5, 8, 13, 21))
"""Which of what there is, the last first."""


class Ground(RuleBasedStateMachine):
    """Jobs come, are claimed, come to an end and go, and time passes. `twins` is for a subclass to give."""

    twins: ClassVar[Twins]

    def __init__(self) -> None:
        super().__init__()
        self.twins.begin_anew()
        self.model = DurableModel(self.twins.clock.now)
        self.leases: list[Lease] = []
        self.token_ids: list[UUID] = [new_id()]  # the first of them is nobody's

    def one_of(self, number: int) -> Known | None:
        return self.model.jobs[number % len(self.model.jobs)] if self.model.jobs else None

    def any_leases(self, numbers: list[int]) -> list[Lease]:
        """Of those that are held and then of the others the last given first."""
        ordered = sorted(self.leases, key=self.model.holds)
        return list(dict.fromkeys(ordered[-1 - number % len(ordered)] for number in numbers)) if ordered else []

    @initialize(types=st.lists(st.sampled_from(TYPES), min_size=1, max_size=4))
    def begin(self, types: list[str]) -> None:
        self.enqueue([{"job_type": job_type, "payload": "{}"} for job_type in types], together=True)
        self.claim(TYPES, limit=4, who=WORKERS[0])

    @rule(
        asked=st.lists(
            st.fixed_dictionaries(
                {"job_type": st.sampled_from(TYPES), "payload": st.sampled_from(PAYLOADS)},
                optional={
                    "priority": st.integers(-1, 1),
                    "delay": st.sampled_from((timedelta(), *SPANS)),
                    "tags": st.lists(st.sampled_from(TAGS), unique=True).map(tuple),
                    "max_attempts": st.integers(1, 3),
                    "idempotency_key": st.sampled_from(("k1", "k2")),
                    "dead_letter_job_type": st.just(BURIAL),
                },
            ),
            min_size=1,
            max_size=4,
        ),
        together=st.booleans(),
    )
    def enqueue(self, asked: list[dict[str, Any]], together: bool) -> None:
        jobs = [NewJob(id=new_id(), **{**one, "payload": Json(one["payload"])}) for one in asked]
        units = [jobs] if together else [[job] for job in jobs]
        answers = self.twins.ask(lambda storage: storage.jobs(self.twins.namespace).enqueue(units))
        flat = [answer for unit in answers for answer in unit]
        assert [(one.id, one.status, one.created) for one in flat] == [self.model.enqueue(job) for job in jobs]

    @rule(
        types=st.sampled_from((("mail",), ("fax",), TYPES, (*TYPES, BURIAL))),
        limit=st.integers(1, 4),
        who=st.sampled_from(WORKERS),
    )
    def claim(self, types: tuple[str, ...], limit: int, who: str) -> None:
        taken = self.twins.ask_each(
            lambda storage: storage.jobs(self.twins.namespace).claim(types, limit=limit, worker_id=who, lease=LEASE)
        )
        expected = self.model.claim(types, limit=limit, worker=who, lease=LEASE)
        for claimed in taken:
            assert [self.twins.normal(one.id) for one in claimed] == [name_of(job) for job in expected]
            seen = [
                (one.attempts, one.invocation, one.priority, one.tags, one.locked_at, one.has_steps) for one in claimed
            ]
            now = self.twins.clock.now()
            assert seen == [
                (job.attempts, job.invocation, job.priority, job.tags, now, bool(job.steps)) for job in expected
            ]
        self.leases += [Lease(job.id, job.invocation) for job in expected if job.id]

    @rule(numbers=st.lists(RECENT, max_size=3), output=st.sampled_from((None, *PAYLOADS)))
    def complete(self, numbers: list[int], output: str | None) -> None:
        leases = self.any_leases(numbers)
        outputs = [None if output is None else Json(output)] * len(leases)
        words = self.twins.ask(lambda storage: storage.jobs(self.twins.namespace).complete(leases, outputs=outputs))
        assert words == [self.model.complete(lease, output) for lease in leases]

    @rule(verb=st.sampled_from(BULK), number=st.integers(0, 50))
    def change_one(self, verb: Verb, number: int) -> None:
        job = self.one_of(number)
        job_id = job.id if job else new_id()
        if job_id is None:
            return
        accepted = job is not None and self.model.change(verb, job, priority=5)
        try:
            self.twins.ask(lambda storage: changed(storage, self.twins.namespace, verb, [job_id]))
        except IllegalTransition:
            refused = job is not None
        except NotFound:
            refused = job is None
        else:
            refused = False
        assert accepted is not refused

    @rule(by=st.sampled_from(SPANS))
    def time_passes(self, by: timedelta) -> None:
        self.twins.clock.advance(by)

    @rule()
    def stage(self) -> None:
        assert self.twins.ask(lambda storage: staged(storage, self.twins.namespace)) == self.model.stage()

    @rule()
    def prune(self) -> None:
        keep = timedelta(hours=1)
        assert self.twins.ask(lambda storage: pruned(storage, self.twins.namespace, keep)) == self.model.prune(
            keep=keep
        )

    @invariant()
    def the_jobs_are_those_of_the_model(self) -> None:
        whole = [
            {job.id: job for job in page.jobs}
            for page in self.twins.ask_each(
                lambda storage: storage.jobs(self.twins.namespace).page(JobFilter(), before=None, limit=1000)
            )
        ]
        for job in self.model.jobs:
            if job.grave:
                for found in whole:
                    dead = found[job.id].dead_letter_job_id if job.id in found else None
                    if dead is not None:
                        self.twins.names.setdefault(dead, name_of(job.grave))
        first, second = (self.twins.normal(list(jobs.values())) for jobs in whole)
        assert first == second
        assert Counter(job["status"] for job in first) == Counter(job.status for job in self.model.jobs)
        by_name = {job["id"]: job for job in first}
        for known in self.model.jobs:
            found = by_name[name_of(known)]
            assert found["status"] == known.status
            assert (found["attempts"], found["crashes"]) == (known.attempts, known.crashes)
            assert (found["priority"], found["run_at"]) == (known.priority, known.run_at)
            assert (found["locked_by"], found["lease_expires_at"]) == (known.worker, known.lease_ends)
            assert (found["completed_at"], found["cancel_requested"]) == (known.ended_at, known.cancel)
            assert (found["progress"], found["output"]) == (known.progress, known.output)
            waits = known.status is JobStatus.WAITING
            assert found["wait_until"] == (known.wake_at if waits else None)
            assert found["wait_token_id"] == known.wait_token_id
            assert found["steps"] == shown(self.model.steps_as_read(known))

    @invariant()
    def the_tokens_are_those_of_the_model(self) -> None:
        page = self.twins.ask(
            lambda storage: storage.tokens(self.twins.namespace).page(ANY_TOKEN, before=None, limit=1000)
        )
        seen = [(one.id, one.status, one.tags, one.job_id, one.output, one.timeout_at) for one in page.tokens]
        known = sorted(self.model.tokens.values(), key=lambda one: (one.created_at, one.id), reverse=True)
        assert seen == [
            (one.id, one.status, one.tags, one.job.id if one.job else None, one.output, one.timeout_at) for one in known
        ]

    def teardown(self) -> None:
        self.what_was_told_and_counted_agrees()

    def what_was_told_and_counted_agrees(self) -> None:
        first, second = self.twins.ask_each(lambda storage: events_by_job(storage, self.twins))
        assert first == second
        for known in self.model.jobs:
            assert [name for name, *_ in first[name_of(known)]] == known.events
        told = self.twins.ask(lambda storage: events_of_tokens(storage, self.twins))
        assert told == sorted((name, str(token_id), tags) for name, token_id, tags in self.model.token_events)
        for known in self.model.jobs:
            if (job_id := known.id) is not None:
                [steps] = self.twins.ask(steps_of(self.twins.namespace, job_id))
                assert steps == [as_step(name, step, self.twins) for name, step in known.steps.items()]
        stats = self.twins.ask(lambda storage: storage.tally(self.twins.namespace).stats())
        statuses = Counter(job.status for job in self.model.jobs)
        assert stats.by_status == {status: statuses[status] for status in JobStatus}
        by_type = {(name, status): n for name, counts in stats.by_type.items() for status, n in counts.items() if n}
        assert by_type == self.model.by_type()
        tags = self.twins.ask(
            lambda storage: storage.tally(self.twins.namespace).tags(prefix="", after=None, limit=100)
        )
        assert {(one.tag, status): n for one in tags for status, n in one.counts.items() if n} == self.model.by_tag()
        self.twins.ask(lambda storage: storage.job_types(self.twins.namespace).page(after=None, limit=100))
