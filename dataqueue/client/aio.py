"""The client for code on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import aclosing
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import httpx

from dataqueue.client import operations
from dataqueue.client.answers import Event, ImportAnswer
from dataqueue.client.calls import Call, Listing
from dataqueue.client.connecting import ANSWERS_WITHIN, Address, request_of
from dataqueue.client.following import EventFilter, Following
from dataqueue.client.importing import Chunker, Line, Tally
from dataqueue.client.signatures import as_method
from dataqueue.client.tries import PATIENT, Outcome, Patience, Tries

P = ParamSpec("P")
T = TypeVar("T")


def _sends(build: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The operation as a method: it sends the call and returns what the answer says."""

    @wraps(build)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._send(build(*args, **kwargs))

    return as_method(method, build)


def _lists(build: Callable[P, Listing[T]]) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    """The operation as a method: it iterates over a list, one page at a time."""

    @wraps(build)
    def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self._walk(build(*args, **kwargs))

    return as_method(method, build)


class AsyncClient:
    """Speaks to a DataQueue service from an event loop; in all else as `Client`. Close it, or use `async with`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = ANSWERS_WITHIN,
        patience: Patience = PATIENT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        address = Address.of(url, key)
        self.url, self._timeout, self._patience = address.url, timeout, patience
        self._http = httpx.AsyncClient(base_url=address.url, headers=address.headers, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def import_jobs(self, jobs: Iterable[Line] | AsyncIterable[Line]) -> AsyncIterator[ImportAnswer]:
        """Import any number of jobs, or lines of NDJSON, as `Client.import_jobs` does."""
        chunker, tally = Chunker(jobs), Tally(self.url)
        async for job in _each(jobs):
            for chunk in chunker.add(job):
                for answer in tally.take(await self._send(chunk.call())):
                    yield answer
        for chunk in chunker.rest():
            for answer in tally.take(await self._send(chunk.call())):
                yield answer
        yield tally.summary()

    async def events(self, *, after: str = "now", **where: Unpack[EventFilter]) -> AsyncGenerator[Event]:
        """Follow what happens, as `Client.events` does. Leave it early with `contextlib.aclosing`."""
        following = Following(where, after=after, patience=self._patience, url=self.url)
        while True:
            ended: Outcome | None = None
            try:
                answer = await self._http.send(following.request(self._http, timeout=self._timeout), stream=True)
                async with aclosing(answer):
                    if answer.is_success:
                        async for line in answer.aiter_lines():
                            if (event := following.take(line)) is not None:
                                yield event
                    else:
                        await answer.aread()
                        ended = answer
            except httpx.RequestError as error:
                ended = error
            await asyncio.sleep(following.pause_after(ended))

    async def _send(self, call: Call[T]) -> T:
        tries = Tries(call, patience=self._patience)
        while True:
            outcome = await self._try(call)
            if (pause := tries.pause_after(outcome)) is None:
                return tries.result(outcome)
            await asyncio.sleep(pause)

    async def _try(self, call: Call[T]) -> Outcome:
        try:
            return await self._http.send(request_of(self._http, call, self._timeout))
        except httpx.RequestError as error:
            return error

    async def _walk(self, listing: Listing[T]) -> AsyncIterator[T]:
        walk = listing.walk()
        while walk.next is not None:
            for one in walk.take(await self._send(walk.next)):
                yield one

    enqueue = _sends(operations.enqueue)
    enqueue_batch = _sends(operations.enqueue_batch)
    get_job = _sends(operations.get_job)
    list_jobs = _lists(operations.list_jobs)
    job_events = _lists(operations.job_events)
    edit_job = _sends(operations.edit_job)
    cancel = _sends(operations.cancel)
    retry = _sends(operations.retry)
    delete = _sends(operations.delete)
    cancel_jobs = _sends(operations.cancel_jobs)
    retry_jobs = _sends(operations.retry_jobs)
    edit_jobs = _sends(operations.edit_jobs)
    delete_jobs = _sends(operations.delete_jobs)
    create_token = _sends(operations.create_token)
    get_token = _sends(operations.get_token)
    list_tokens = _lists(operations.list_tokens)
    complete_token = _sends(operations.complete_token)
    expire_tokens = _sends(operations.expire_tokens)
    tags = _lists(operations.tags)
    tag = _sends(operations.tag)
    job_types = _lists(operations.job_types)
    job_type = _sends(operations.job_type)
    put_job_type = _sends(operations.put_job_type)
    pause = _sends(operations.pause)
    resume = _sends(operations.resume)
    stats = _sends(operations.stats)
    workers = _sends(operations.workers)
    drain_worker = _sends(operations.drain_worker)
    run_maintenance = _sends(operations.run_maintenance)


async def _each(jobs: Iterable[Line] | AsyncIterable[Line]) -> AsyncIterator[Line]:
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job
