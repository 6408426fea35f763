"""What happens in a namespace, as it happens (contract 4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Header
from fastapi import Query as QueryParameters
from fastapi.sse import EventSourceResponse
from starlette.types import Receive, Send
from starlette.types import Scope as HttpScope

from app.auth import requires
from app.documentation import problems
from app.errors import Code, Problem, invalid
from app.rendering import event_json, page_json, ticket_json
from app.routing import Answer, Call, JsonRoute, Streamed
from app.schemas import examples
from app.schemas.enqueue import NoFields
from app.schemas.events import OLDEST_KEPT, EventsQuery, LastEventId, TicketOut
from app.sse import QUIET, event_frame
from dataqueue.domain.keys import Caller, Scope, digest_of, new_ticket
from dataqueue.errors import Unauthenticated
from dataqueue.streaming.following import FRESH_WITHIN, Delivery, check_position, follow, position_now

_TICKET_LIFETIME: Final = timedelta(seconds=60)
_MOST_PAGES: Final = 10
_STREAM: Final[dict[str, Any]] = {
    "description": "Events for as long as the connection lasts; with `Accept: application/json` a page of them.",
    "content": {
        "text/event-stream": {"schema": {"type": "string"}, "example": examples.STREAM},
        "application/json": {"schema": {"$ref": "#/components/schemas/EventPage"}, "example": examples.EVENTS},
    },
}


class StreamRoute(JsonRoute):
    """A route to which a ticket admits as a key does."""

    async def _admit(self, scope: HttpScope, headers: Mapping[bytes, bytes]) -> Caller | None:
        ticket = _ticket_in(scope, headers)
        if ticket is None:
            return await super()._admit(scope, headers)
        namespace = await scope["app"].service.storage.tickets.redeem(digest_of(ticket))
        if namespace is None:
            raise Unauthenticated("The ticket is unknown, used or expired. Get another: POST /v1/events/ticket.")
        return Caller(namespace, frozenset({Scope.READ}))


router = APIRouter(route_class=JsonRoute, tags=["events"], dependencies=[requires(Scope.READ)])
_streams = APIRouter(route_class=StreamRoute, tags=["events"], dependencies=[requires(Scope.READ)])


@_streams.get(
    "/v1/events",
    response_class=EventSourceResponse,
    summary="Follow what happens",
    responses={200: _STREAM, **problems(401, 403, 410, 422, 429, 503)},
)
async def follow_events(
    query: Annotated[EventsQuery, QueryParameters()],
    call: Call,
    last_event_id: Annotated[LastEventId, Header(description="Where to resume; wins over `after`.")] = None,
) -> Answer | Streamed:
    """Server-sent events: `id` is a position, `event` a name, `data` the event in JSON, as it stands in lists.

    Nothing is missed and nothing comes twice, in the order in which it happened to each job. To resume, send the last
    id you saw as `Last-Event-ID`, as a browser does by itself, or as `after`. The stream begins with a block that has
    an id and no data, and sends another, with a comment, after 15 s of silence, so there is always a place to resume
    from. A reader that does not keep up is cut off and resumes. A position that is not kept any more is a 410.

    An event is told once nothing can come before it any more: a transaction that some other program holds open delays
    the stream, and loses nothing.

    With `Accept: application/json` the same as a page: oldest first, `next_cursor` is always a position, to be given as
    `after` the next time. A page looks at 100,000 events at most, and may hold fewer than `limit` though there are
    more.
    """
    place = query.after if last_event_id is None else last_event_id
    matching = query.matching
    if _wants_page(call):
        return await _page(call, query, place)
    if query.limit is not None:
        raise invalid(("query", "limit"), "is for a page: send Accept: application/json")
    service, namespace = call.service, call.namespace
    if service.streams.is_full:
        detail = "This process has as many streams open as it may. Try again, or raise DATAQUEUE_MAX_STREAMS."
        raise Problem(429, Code.TOO_MANY_STREAMS, detail, headers=((b"retry-after", b"5"),))
    headers = dict(call.scope["headers"])
    by_ticket = _ticket_in(call.scope, headers) is not None
    recheck = _nothing_to_check if by_ticket else partial(service.auth.caller, headers, call.scope)

    async def stream(receive: Receive, send: Send) -> None:
        with service.streams.place(), service.hub.following(namespace):
            position = await _position(call, place)

            def followed(on_cut: Callable[[], None]) -> AsyncGenerator[Delivery[bytes]]:
                return follow(
                    service.hub, call.events, namespace, matching, after=position, encode=event_frame, quiet=QUIET,
                    on_cut=on_cut,
                )  # fmt: skip

            await service.streams.run(
                followed, receive, send, position=position, recheck=recheck, head=call.method == "HEAD"
            )

    return stream


@router.post(
    "/v1/events/ticket",
    status_code=201,
    response_model=TicketOut,
    summary="Get a ticket to the stream",
    responses=problems(401, 403, 413, 415, 422, 503),
)
async def issue_ticket(call: Call, body: NoFields | None = None) -> Answer:
    """A pass for a browser, whose `EventSource` cannot send a key: `GET /v1/events?ticket=…` within 60 s, once.

    Have your own backend ask for it, so that no key reaches the page. A reconnect needs another ticket, and `after` or
    `Last-Event-ID` to resume.
    """
    ticket = new_ticket()
    expires_at = await call.service.storage.tickets.issue(
        digest_of(ticket), namespace=call.namespace, lifetime=_TICKET_LIFETIME
    )
    return Answer(ticket_json(ticket, expires_at), status=201, headers=((b"cache-control", b"no-store"),))


router.routes[:0] = _streams.routes


def _ticket_in(scope: HttpScope, headers: Mapping[bytes, bytes]) -> str | None:
    """The ticket by which a call is to be let in; None where there is a key, or nothing."""
    if b"authorization" in headers:
        return None
    tickets = parse_qs(scope["query_string"].decode("latin-1")).get("ticket")
    return tickets[0] if tickets else None


async def _position(call: Call, place: int | None) -> int:
    """Where to begin; within `hub.following`."""
    hub = call.service.hub
    if place is None:
        return await position_now(hub, call.events, call.namespace)
    if place == OLDEST_KEPT:
        return (await call.events.bounds()).oldest
    await check_position(hub, call.events, call.namespace, place)
    return place


async def _page(call: Call, query: EventsQuery, place: int | None) -> Answer:
    hub, limit, matching = call.service.hub, query.limit or 50, query.matching
    with hub.following(call.namespace):
        position = await _position(call, place)
        await hub.caught_up(call.namespace, within=FRESH_WITHIN)
        until = hub.frontier(call.namespace) or 0
    found: list[bytes] = []
    for _ in range(_MOST_PAGES):
        if position >= until or len(found) >= limit:
            break
        page = await call.events.page(matching, after=position, until=until, limit=limit - len(found))
        found += [event_json(event) for event in page.events]
        position = page.position
    return Answer(page_json(found, str(position)))


def _wants_page(call: Call) -> bool:
    accept = call.headers.get("accept", "").lower()
    return "application/json" in accept and "text/event-stream" not in accept


async def _nothing_to_check() -> None:
    """A ticket was good when it was redeemed."""
