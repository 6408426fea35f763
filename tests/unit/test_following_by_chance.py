"""Every order of awaits that chance finds: whichever it is, a follower misses nothing and gets nothing twice."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataqueue.domain.events import EVERYTHING, Event, EventFilter, EventName
from dataqueue.streaming import following as following_module
from dataqueue.streaming import hub as hub_module
from dataqueue.streaming import subscriptions as subscriptions_module
from dataqueue.streaming.following import FellBehind, follow
from dataqueue.streaming.hub import EventHub
from dataqueue.streaming.subscriptions import MOST_WAITING
from tests.unit.event_log import ModelLog, ModelTail, as_it_is, hub_over, ids

ODD: Final = EventFilter(job_types=("odd",))


class Course:
    """Writers with open transactions, a hub that tells in small parts, and followers that come and go."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.log = ModelLog(self.turn)
        self.hub: EventHub[Any] = hub_over(ModelTail(self.log))
        self.is_over = False

    async def turn(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)

    async def write(self) -> None:
        for _ in range(40):
            for _ in range(self.chance.randrange(4)):
                job_type = self.chance.choice(("odd", "even"))
                name = self.chance.choice((EventName.ADDED, EventName.FAILED))
                self.log.draw(self.chance.choice(("default", "other")), job_type=job_type, event=name)
            for position in [one for one in self.log.open if self.chance.random() < 0.5]:
                self.log.commit(position)
            await self.turn()
        for position in list(self.log.open):
            self.log.commit(position)
        self.is_over = True

    async def tell(self) -> None:
        while True:
            await self.turn()
            await asyncio.sleep(0)
            await self.hub.tick()

    async def follow(self, namespace: str, matching: EventFilter) -> None:
        """Read to the end, in several goes, each begun where the one before ended."""
        for _ in range(self.chance.randrange(30)):
            await self.turn()
        begun_at = position = self.chance.choice((0, self.log.frontier))
        found: list[Event] = []
        while not (self.is_over and position >= self.log.drawn):
            with self.hub.following(namespace):
                left = self.chance.randrange(1, 8)
                deliveries = follow(
                    self.hub, self.log.of(namespace), namespace, matching, after=position, encode=as_it_is, quiet=0
                )
                with suppress(FellBehind):
                    async with aclosing(deliveries):
                        async for delivery in deliveries:
                            assert delivery.position >= position, "it went back"
                            found += delivery.items
                            position = delivery.position
                            self.check(found, namespace, matching, begun_at, position)
                            left -= 1
                            if left == 0 or (self.is_over and position >= self.log.drawn):
                                break
                            await self.turn()
            await self.turn()

    def check(self, found: list[Event], namespace: str, matching: EventFilter, begun_at: int, position: int) -> None:
        there = [one for one in self.log.between({namespace}, begun_at, position) if matching.matches(one)]
        assert ids(found) == ids(there), f"up to {position} something is missing, or there twice"


FILTERS: Final = [EVERYTHING, ODD, EventFilter(events=(EventName.FAILED,)), EventFilter(job_types=("none",))]


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32), may_wait=st.sampled_from([2, MOST_WAITING]))
def test_whatever_the_order_nothing_is_missed_and_nothing_comes_twice(seed: int, may_wait: int) -> None:
    async def main() -> None:
        course = Course(seed)
        telling = asyncio.create_task(course.tell())
        followers = [course.follow(namespace, matching) for namespace in ("default", "other") for matching in FILTERS]
        try:
            async with asyncio.timeout(60):
                await asyncio.gather(course.write(), *followers)
        finally:
            assert not telling.done(), telling
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        assert not course.hub._index._under
        assert course.hub.followers == 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "_MOST_AT_ONCE", 5)
        patch.setattr(hub_module, "_IN_ONE_BREATH", 2)
        patch.setattr(following_module, "_PAGE", 3)
        # Two: whoever is a little slow is cut off, and goes on from where it was.
        patch.setattr(subscriptions_module, "MOST_WAITING", may_wait)
        asyncio.run(main())
