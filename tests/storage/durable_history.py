"""What durable handlers do, as a part of a history: steps, waits, notes, and tokens that somebody else completes."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from dataqueue.domain.job import Json, Note
from dataqueue.domain.steps import NewStep, Wait
from dataqueue.domain.tokens import NewToken
from dataqueue.errors import NotFound
from dataqueue.ids import new_id
from tests.storage.histories import RECENT, SPANS, TAGS, Ground
from tests.storage.twins import as_step

STEPS: Final = ("charge it", "b", "c")
VALUES: Final = ("null", '{"a":  [1e3, "\\u00e9"]}', "12345678901234567890")
TIMEOUTS: Final = (None, *SPANS)


class DurableHistory(Ground):
    """Few verbs besides, so that jobs get far."""

    @initialize(timeout=st.sampled_from(TIMEOUTS))
    def begin_with_tokens(self, timeout: timedelta | None) -> None:
        self.create_token(None, ())
        self.create_token(timeout, TAGS)

    @rule(
        number=RECENT,
        asked=st.lists(
            st.tuples(st.sampled_from(STEPS), st.sampled_from(("token", *VALUES)), st.sampled_from(TIMEOUTS)),
            min_size=1,
            max_size=3,
        ),
        tags=st.lists(st.sampled_from(TAGS), unique=True).map(tuple),
    )
    def save(self, number: int, asked: list[tuple[str, str, timedelta | None]], tags: tuple[str, ...]) -> None:
        steps = [
            (lease, NewStep(name=name, token=NewToken(id=new_id(), timeout=timeout, tags=tags)))
            if value == "token"
            else (lease, NewStep(name=name, value=Json(value)))
            for lease in self.any_leases([number])
            for name, value, timeout in asked
        ]
        saved = self.twins.ask(lambda storage: storage.steps(self.twins.namespace).save(steps))
        assert saved == [as_step(step.name, self.model.save(lease, step), self.twins) for lease, step in steps]
        self.token_ids = [self.token_ids[0], *self.model.tokens]

    @rule(
        numbers=st.lists(RECENT, min_size=1, max_size=2),
        asked=st.lists(
            st.tuples(st.sampled_from(STEPS), st.sampled_from((None, None, None, *SPANS)), RECENT), max_size=3
        ),
    )
    def suspend(self, numbers: list[int], asked: list[tuple[str, timedelta | None, int]]) -> None:
        leases = self.any_leases(numbers)
        waits = [
            Wait(name=name, token_id=self.token_ids[-1 - number % len(self.token_ids)])
            if span is None
            else Wait(name=name, until=self.twins.clock.now() + span)
            if number % 2
            else Wait(name=name, delay=span)
            for name, span, number in asked
        ]
        # Which of several tokens a waiting job shows is nobody's promise, but where the log has them in this order.
        ordered = [self.model.in_order_of_log(lease, waits) for lease in leases]
        words = self.twins.ask(lambda storage: storage.jobs(self.twins.namespace).suspend(leases, waits=ordered))
        assert words == [self.model.suspend(lease, some) for lease, some in zip(leases, ordered, strict=True)]

    @rule(
        numbers=st.lists(RECENT, max_size=3),
        progress=st.none() | st.integers(0, 100),
        output=st.none() | st.sampled_from(VALUES),
        prolonged_ms=st.none() | st.integers(1, 10**9),
    )
    def note(self, numbers: list[int], progress: int | None, output: str | None, prolonged_ms: int | None) -> None:
        leases = self.any_leases(numbers)
        note = Note(progress, None if output is None else Json(output), prolonged_ms)
        words = self.twins.ask(
            lambda storage: storage.jobs(self.twins.namespace).note(leases, notes=[note] * len(leases))
        )
        assert words == [self.model.note(lease, note) for lease in leases]

    @rule(timeout=st.sampled_from(TIMEOUTS), tags=st.lists(st.sampled_from(TAGS), unique=True).map(tuple))
    def create_token(self, timeout: timedelta | None, tags: tuple[str, ...]) -> None:
        token = NewToken(id=new_id(), timeout=timeout, tags=tags)
        self.model.create(token)
        self.twins.ask(lambda storage: storage.tokens(self.twins.namespace).create([token]))
        self.token_ids = [self.token_ids[0], *self.model.tokens]

    @rule(number=RECENT, output=st.sampled_from(VALUES))
    def complete_token(self, number: int, output: str) -> None:
        token_id = self.token_ids[-1 - number % len(self.token_ids)]
        expected = self.model.complete_token(token_id, Json(output))
        try:
            ended = self.twins.ask(
                lambda storage: storage.tokens(self.twins.namespace).complete(token_id, output=Json(output))
            )
        except NotFound:
            assert expected is None
        else:
            assert (ended.is_first, set(ended.woken)) == expected

    @rule()
    def expire_tokens(self) -> None:
        expired = self.twins.ask(
            lambda storage: storage.upkeep.expire_tokens(limit=1000, namespace=self.twins.namespace)
        )
        count, resumed = self.model.expire()
        assert (expired.count, set(expired.woken)) == (count, {job.job_type for job in resumed})

    @rule()
    def prune_tokens(self) -> None:
        keep = timedelta(hours=1)
        count = self.twins.ask(
            lambda storage: storage.upkeep.prune_tokens(keep=keep, limit=1000, namespace=self.twins.namespace)
        )
        assert count == self.model.prune_tokens(keep=keep)
