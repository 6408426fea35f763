"""The client for code without an event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import wraps
from typing import Concatenate, ParamSpec, Self, TypeVar, Unpack

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


def _sends(build: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """The operation as a method: it sends the call and returns what the answer says."""

    @wraps(build)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._send(build(*args, **kwargs))

    return as_method(method, build)


def _lists(build: Callable[P, Listing[T]]) -> Callable[Concatenate[Client, P], Iterator[T]]:
    """The operation as a method: it iterates over a list, one page at a time."""

    @wraps(build)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._walk(build(*args, **kwargs))

    return as_method(method, build)


class Client:
    """Speaks to a DataQueue service. It may be shared by threads; close it, or use it in a `with` block.

    What is not given is taken from DATAQUEUE_API_URL (http://127.0.0.1:8000) and DATAQUEUE_API_KEY. `timeout`: seconds
    that an answer may take. Refusals are raised as the errors of `dataqueue.errors`, which are ProblemErrors too;
    no answer at all is ServiceUnreachable. Calls that change nothing, and enqueues that can be told apart, are tried
    again with `patience`; no other is.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = ANSWERS_WITHIN,
        patience: Patience = PATIENT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        address = Address.of(url, key)
        self.url, self._timeout, self._patience = address.url, timeout, patience
        self._http = httpx.Client(base_url=address.url, headers=address.headers, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def import_jobs(self, jobs: Iterable[Line]) -> Iterator[ImportAnswer]:
        """Import any number of jobs, or lines of NDJSON, in bounded memory: yields each line's answer, then the sum.

        What was answered is stored. When an error ends it, the thousand lines after the last answer may be or not;
        importing all of it again is safe for jobs with an idempotency key.
        """
        chunker, tally = Chunker(jobs), Tally(self.url)
        for job in jobs:
            for chunk in chunker.add(job):
                yield from tally.take(self._send(chunk.call()))
        for chunk in chunker.rest():
            yield from tally.take(self._send(chunk.call()))
        yield tally.summary()

    def events(self, *, after: str = "now", **where: Unpack[EventFilter]) -> Generator[Event]:
        """Follow what happens for as long as one iterates, narrowed by `event`, `job_id`, `job_type`, `tags`.

        `after`: the `id` of the last event you had, "now", or "start", the oldest that is kept. When the connection
        breaks it comes back to where it was: nothing is missed and nothing comes twice. PositionExpired: that place is
        not kept any more. Leave it early with `contextlib.closing`.
        """
        following = Following(where, after=after, patience=self._patience, url=self.url)
        while True:
            ended: Outcome | None = None
            try:
                answer = self._http.send(following.request(self._http, timeout=self._timeout), stream=True)
                with closing(answer):
                    if answer.is_success:
                        for line in answer.iter_lines():
                            if (event := following.take(line)) is not None:
                                yield event
                    else:
                        answer.read()
                        ended = answer
            except httpx.RequestError as error:
                ended = error
            time.sleep(following.pause_after(ended))

    def _send(self, call: Call[T]) -> T:
        tries = Tries(call, patience=self._patience)
        while True:
            outcome = self._try(call)
            if (pause := tries.pause_after(outcome)) is None:
                return tries.result(outcome)
            time.sleep(pause)

    def _try(self, call: Call[T]) -> Outcome:
        try:
            return self._http.send(request_of(self._http, call, self._timeout))
        except httpx.RequestError as error:
            return error

    def _walk(self, listing: Listing[T]) -> Iterator[T]:
        walk = listing.walk()
        while walk.next is not None:
            yield from walk.take(self._send(walk.next))

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
