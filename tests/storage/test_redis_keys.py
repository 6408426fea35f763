"""What is found in Redis is what `keys.py` says, and nothing stays behind."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from dataqueue.clock import ManualClock
from dataqueue.domain.counts import JobTypeSettings
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.job import JobStatus, Json
from dataqueue.domain.retention import Retention
from dataqueue.domain.steps import NewStep, Wait
from dataqueue.domain.tokens import NewToken
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from dataqueue.storage.redis.keys import OF_A_NAMESPACE, OF_NO_NAMESPACE, SHARED, Key, beginning_of
from dataqueue.storage.redis.storage import RedisStorage
from tests.redis_servers import RedisServer
from tests.storage.given import FOR_GOOD, FOR_NOW, HOUR, LEASE, MAX_CRASHES, NAMESPACE, SECOND, claim, new_job
from tests.storage.test_redis_batches import given_left_batch

OPERATORS: Final = {"settings:", "paused"}
"""What stays until whoever set it takes it back."""


async def a_life(storage: RedisStorage, clock: ManualClock) -> None:
    """Jobs through every verb, so that every kind of key is used."""
    jobs = storage.jobs(NAMESPACE)
    await storage.job_types(NAMESPACE).put("mail", JobTypeSettings(max_attempts=5))
    await storage.job_types(NAMESPACE).pause("halted", paused=True)
    await storage.workers(NAMESPACE).beat("ann", kind="python", job_types=["mail"])
    await storage.keys.create(name="k", namespace="shop", scopes=frozenset(), digest=b"d", prefix="dq")
    await storage.tickets.issue(b"t", namespace=NAMESPACE, lifetime=HOUR)
    asked = [
        new_job(job_type="mail", payload=Json('{"to":"ann"}'), tags=("red",), idempotency_key="k", priority=3),
        new_job(job_type="mail", dead_letter_job_type="burial", tags=("red", "blue"), idempotency_key="l"),
        new_job(job_type="mail", delay=HOUR, priority=-1),
        *(new_job(job_type="mail") for _ in range(4)),
    ]
    await jobs.enqueue([asked])
    done, doomed, tried, released, lost, _ = await claim(jobs, "mail")
    await jobs.complete([done.lease], outputs=[Json('"done"')])
    await jobs.fail([doomed.lease, tried.lease], failures=[FOR_GOOD, FOR_NOW])
    await jobs.release([released.lease])
    await jobs.cancel([released.id])
    await jobs.retry([doomed.id])
    await jobs.edit([doomed.id], JobEdit(tags=("blue", "green"), priority=9, run_at=clock.now() + HOUR))
    clock.advance(LEASE + SECOND)
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    assert (await jobs.get(lost.id)).crashes == 1
    await claim(jobs, "mail", "burial")
    await jobs.delete([done.id])
    await jobs.enqueue([[new_job(job_type="mail", payload=Json("[]"))], [new_job(job_type="mail")]])
    [last] = await claim(jobs, "mail", limit=1)
    await jobs.complete([last.lease], outputs=[Json("null")])
    await given_left_batch(storage, [new_job(job_type="mail")])
    await a_durable_life(storage)


async def a_durable_life(storage: RedisStorage) -> None:
    """Waits and tokens in every state that they can be left in."""
    jobs, tokens = storage.jobs(NAMESPACE), storage.tokens(NAMESPACE)
    await storage.keys.signing_secret()
    shared, later = NewToken(id=new_id(), timeout=2 * HOUR), NewToken(id=new_id(), tags=("red",))
    await tokens.create([shared, later])
    await jobs.enqueue([[new_job(job_type="mail", priority=9) for _ in range(60)]])
    waiting, rich = (held := await claim(jobs, "mail", limit=60))[1:], held[0]
    waits = [Wait(name="answer", token_id=shared.id), Wait(name="rest", delay=HOUR)]
    await jobs.suspend([one.lease for one in waiting], waits=[waits] * len(waiting))
    asked = [NewToken(id=new_id()) for _ in range(120)]
    await storage.steps(NAMESPACE).save([(rich.lease, NewStep(name=str(one.id), token=one)) for one in asked])
    await tokens.complete(asked[0].id, output=Json("[]"))
    await jobs.complete([rich.lease], outputs=[None])
    await jobs.delete([rich.id])
    # By whoever is cut off then.
    await storage.server.run("tokens/complete", NAMESPACE, str(shared.id), "1")
    await tokens.complete(later.id, output=Json("2"))


async def the_end(storage: Storage, clock: ManualClock) -> None:
    """Everything is cancelled, and then old enough to be removed."""
    jobs, upkeep = storage.jobs(NAMESPACE), storage.upkeep
    clock.advance(LEASE + SECOND)
    await upkeep.reclaim(limit=100, max_crashes=MAX_CRASHES)
    await upkeep.stage(limit=100)
    for job_type in ("mail", "burial"):
        held = await claim(jobs, job_type, limit=1000)
        await jobs.complete([one.lease for one in held], outputs=[None] * len(held))
    statuses = (await storage.tally(NAMESPACE).stats()).by_status
    assert not statuses[JobStatus.PROCESSING]
    clock.advance(2 * HOUR)
    await upkeep.stage(limit=100)
    held = await claim(jobs, "mail", "burial", limit=1000)
    await jobs.complete([one.lease for one in held], outputs=[None] * len(held))
    await storage.workers(NAMESPACE).leave("ann")
    clock.advance(timedelta(days=3))
    retention = Retention(completed=HOUR, failed=HOUR, cancelled=HOUR)
    while not (await upkeep.prune(retention, limit=100)).is_end:
        pass
    while await upkeep.prune_tokens(keep=HOUR, limit=100):
        pass
    await upkeep.prune_events(keep=timedelta(days=1))
    while await upkeep.fold_counts(limit=1000):
        pass


def pattern_of(key: Key, beginning: str) -> re.Pattern[str]:
    parts = re.split(r"<\w+>", key.name)
    return re.compile(f"^{re.escape(beginning)}:" + ".+".join(re.escape(part) for part in parts) + "$")


def keys_of(redis: RedisServer) -> dict[str, str]:
    return {key.decode(): redis.client.type(key).decode() for key in redis.client.scan_iter()}


async def test_every_key_is_documented_and_every_documented_key_occurs(
    storage: RedisStorage, clock: ManualClock, redis: RedisServer
) -> None:
    await a_life(storage, clock)
    there = keys_of(redis)
    documented = [(key, pattern_of(key, beginning_of(NAMESPACE))) for key in OF_A_NAMESPACE]
    documented += [(key, pattern_of(key, SHARED)) for key in OF_NO_NAMESPACE]
    for name, kind in there.items():
        assert [key.type for key, pattern in documented if pattern.match(name)] == [kind], name
    assert [key.name for key, pattern in documented if not any(map(pattern.match, there))] == []


async def test_a_namespace_whose_jobs_and_events_are_gone_leaves_no_key(
    storage: RedisStorage, clock: ManualClock, redis: RedisServer
) -> None:
    await a_life(storage, clock)
    await the_end(storage, clock)
    beginning = f"{beginning_of(NAMESPACE)}:"
    left = {name.removeprefix(beginning) for name in keys_of(redis) if name.startswith(beginning)}
    assert {name for name in left if not any(name.startswith(one) for one in OPERATORS)} == {"types"}
    listed = [one.job_type for one in await storage.job_types(NAMESPACE).page(after=None, limit=10)]
    assert listed == ["halted", "mail"]


async def test_a_log_that_begins_again_goes_on_above_what_was_read(storage: RedisStorage, clock: ManualClock) -> None:
    await a_life(storage, clock)
    before = (await storage.events(NAMESPACE).bounds()).newest
    await the_end(storage, clock)
    assert (await storage.events(NAMESPACE).bounds()).newest == 0
    await storage.jobs(NAMESPACE).enqueue([[new_job()]])
    bounds = await storage.events(NAMESPACE).bounds()
    assert bounds.newest > before
