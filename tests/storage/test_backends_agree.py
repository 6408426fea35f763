"""One history of operations, told to both backends and to a model: every answer, order, event and count is the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter, TagMode
from dataqueue.domain.job import Failure, FailureReason
from dataqueue.domain.lifecycle import Verb
from dataqueue.storage.postgres import low_water
from tests.postgres_databases import Databases
from tests.redis_servers import RedisServer
from tests.storage.durable_history import DurableHistory
from tests.storage.histories import BULK, LEASE, MAX_CRASHES, RECENT, SPANS, TAGS, TYPES, WORKERS, Ground
from tests.storage.twins import Twins, fits


class History(DurableHistory):
    """Every verb there is."""

    @rule(
        numbers=st.lists(RECENT, max_size=3),
        reason=st.sampled_from((FailureReason.HANDLER_ERROR, FailureReason.TIMEOUT)),
        after=st.sampled_from((None, timedelta(), *SPANS)),
    )
    def fail(self, numbers: list[int], reason: FailureReason, after: timedelta | None) -> None:
        # By id: what several dead letters of one call are listed by is nobody's promise.
        leases = sorted(self.any_leases(numbers), key=lambda lease: lease.job_id)
        failure = Failure('it said "no", \\ żółć\n', type="E", reason=reason, retry_after=after)
        failures = [failure] * len(leases)
        words = self.twins.ask(lambda storage: storage.jobs(self.twins.namespace).fail(leases, failures=failures))
        assert words == [self.model.fail(lease, failure) for lease in leases]

    @rule(numbers=st.lists(RECENT, max_size=3))
    def release(self, numbers: list[int]) -> None:
        leases = self.any_leases(numbers)
        words = self.twins.ask(lambda storage: storage.jobs(self.twins.namespace).release(leases))
        assert words == [self.model.release(lease) for lease in leases]

    @rule(numbers=st.lists(RECENT, max_size=3))
    def heartbeat(self, numbers: list[int]) -> None:
        leases = self.any_leases(numbers)
        beats = self.twins.ask(lambda storage: storage.jobs(self.twins.namespace).heartbeat(leases, lease=LEASE))
        assert beats == [self.model.heartbeat(lease, length=LEASE) for lease in leases]

    @rule(number=st.integers(0, 50))
    def abandon(self, number: int) -> None:
        leases = self.any_leases([number])
        self.twins.ask(lambda storage: storage.jobs(self.twins.namespace).abandon(leases))
        for lease in leases:
            self.model.abandon(lease)

    @rule(who=st.sampled_from(WORKERS), numbers=st.lists(RECENT, max_size=3))
    def recall(self, who: str, numbers: list[int]) -> None:
        known = self.any_leases(numbers)
        count = self.twins.ask(lambda storage: storage.jobs(self.twins.namespace).recall(who, known=known))
        assert count == self.model.recall(who, set(known))

    @rule(
        verb=st.sampled_from(BULK),
        job_type=st.sampled_from((None, *TYPES)),
        tags=st.lists(st.sampled_from(TAGS), unique=True).map(tuple),
        mode=st.sampled_from(TagMode),
        dry_run=st.booleans(),
    )
    def sweep(self, verb: Verb, job_type: str | None, tags: tuple[str, ...], mode: TagMode, dry_run: bool) -> None:
        matching = JobFilter(job_types=(job_type,) if job_type else (), tags=tags, tag_mode=mode)
        edit = JobEdit(priority=5) if verb is Verb.EDIT else None
        swept = self.twins.ask(
            lambda storage: storage.jobs(self.twins.namespace).sweep(
                verb, matching, before=None, limit=1000, edit=edit, dry_run=dry_run
            )
        )
        meant = [job for job in self.model.jobs if fits(job, matching)]
        cancelling = {job.seq for job in meant if job.cancel}
        if dry_run:
            assert swept.changed == 0
        else:
            moved = [job for job in meant if self.model.change(verb, job, priority=5)]
            assert swept.matched == len(moved)
            again = [job for job in moved if verb is Verb.CANCEL and job.seq in cancelling]
            assert swept.changed == len(moved) - len(again)

    @rule()
    def reclaim(self) -> None:
        count = self.twins.ask(
            lambda storage: storage.upkeep.reclaim(limit=1000, max_crashes=MAX_CRASHES, namespace=self.twins.namespace)
        )
        assert count == self.model.reclaim(max_crashes=MAX_CRASHES)

    @rule(job_type=st.sampled_from(TYPES), paused=st.booleans())
    def pause(self, job_type: str, paused: bool) -> None:
        self.twins.ask(lambda storage: storage.job_types(self.twins.namespace).pause(job_type, paused=paused))
        (self.model.paused.add if paused else self.model.paused.discard)(job_type)


@pytest.fixture
def twins(databases: Databases, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twins]:
    # For 0.2 s a claimer on PostgreSQL may pass over what outranks the job it was given last (decision 3). Not here.
    monkeypatch.setattr(low_water, "_FULL_LOOK", 0.0)
    redis.empty()
    with databases.one() as postgres_url:
        made = Twins(postgres_url, redis.url)
        yield made
        made.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("history", [History, DurableHistory])
def test_both_backends_and_the_model_tell_one_history_alike(twins: Twins, history: type[Ground]) -> None:
    # A class of its own: hypothesis looks for rules in a class, and a history knows its twins by that.
    told = type(history.__name__, (history,), {"twins": twins})
    run_state_machine_as_test(
        told,
        settings=settings(
            max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
