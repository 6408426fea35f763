"""A call as a value: what is sent, and how its answer is read. The clients carry calls and know nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

import httpx

from dataqueue.client.encoding import decode, encode
from dataqueue.client.fields import Query
from dataqueue.client.problems import ProblemError, unexpected

T = TypeVar("T")
PAGE: Final = 100


def as_is(answer: Any) -> Any:
    return answer


def _always(_: httpx.Response) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """A request, and the way from a successful answer to what the caller gets.

    `repeatable`: doing it again changes nothing more, so that a lost answer may be asked for again.
    `if_stored`: the answer when the service says that an id we made is taken, which an earlier try must have done.
    `extra_time`: seconds that the answer may take beyond what answers take. `is_whole`: whether nothing was cut off of
    it; otherwise it is asked for again.
    """

    method: str
    path: str
    read: Callable[[Any], T] = as_is
    query: Query = ()
    body: bytes | None = None
    content_type: str = "application/json"
    repeatable: bool = False
    if_stored: T | None = None
    extra_time: float = 0
    parse: Callable[[bytes], Any] = decode
    is_whole: Callable[[httpx.Response], bool] = _always

    def answer(self, response: httpx.Response) -> T:
        """What a successful answer says; ProblemError when it is none of ours."""
        try:
            return self.read(self.parse(response.content) if response.content else None)
        except (ValueError, KeyError, TypeError):
            raise ProblemError(unexpected(response, f"{response.status_code} without the JSON it should be")) from None


class Page(NamedTuple, Generic[T]):
    """Some of a list, and the cursor of what follows."""

    data: list[T]
    next_cursor: str | None


def page_in(answer: Any) -> Page[Any]:
    return Page(list(answer["data"]), answer.get("next_cursor"))


def get(path: str, query: Query = (), *, read: Callable[[Any], T] = as_is, extra_time: float = 0) -> Call[T]:
    """A call that only reads."""
    return Call(method="GET", path=path, query=query, read=read, repeatable=True, extra_time=extra_time)


def post(path: str, body: object = None, *, extra_time: float = 0) -> Call[Any]:
    """A call that changes something, and is not repeated."""
    return Call(method="POST", path=path, body=None if body is None else encode(body), extra_time=extra_time)


class Listing(Generic[T]):
    """A list that is walked page by page. `limit`: how many at most, in all; None: to its end."""

    def __init__(self, path: str, query: Query = (), *, limit: int | None = None, page_size: int = PAGE) -> None:
        if limit is not None and limit < 1:
            raise ValueError("limit must be at least 1")
        self._path, self._query = path, query
        self._left, self._page_size = limit, page_size

    def walk(self) -> Walk[T]:
        return Walk(self._path, self._query, left=self._left, page_size=self._page_size)


class Walk(Generic[T]):
    """One way through a list: `next` is the call for the page to come, None at the end."""

    def __init__(self, path: str, query: Query, *, left: int | None, page_size: int) -> None:
        self._path, self._query, self._left, self._page_size = path, query, left, page_size
        self.next: Call[Page[T]] | None = self._page(None)

    def take(self, page: Page[T]) -> Iterator[T]:
        """What of a page is wanted."""
        data = page.data[: self._left]
        if self._left is not None:
            self._left -= len(data)
        more = page.next_cursor is not None and self._left != 0
        self.next = self._page(page.next_cursor) if more else None
        return iter(data)

    def _page(self, cursor: str | None) -> Call[Page[T]]:
        size = self._page_size if self._left is None else min(self._left, self._page_size)
        query = (*self._query, ("limit", str(size)))
        return get(self._path, query if cursor is None else (*query, ("cursor", cursor)), read=page_in)
