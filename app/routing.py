"""Routes that FastAPI documents and that do not pay for what they do not use.

A route keeps the typed signature FastAPI reads for the OpenAPI document. At run time its parameters are
validated once, the body by pydantic's own JSON parser over the bytes as they came, and the endpoint answers
with bytes: no dependency solving, no response model, no layers in between.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args, get_type_hints

from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from app.auth import scopes_of
from app.errors import Headers, invalid
from app.query import NoQuery, read_query
from app.reading import check_media_type, read_body
from app.schemas.enqueue import RequestBody
from app.validation import problem_from
from dataqueue.callback_urls import CallbackUrls, base_of, callback_urls_of
from dataqueue.domain.keys import Caller
from dataqueue.errors import InsufficientScope
from dataqueue.storage.port import EventLog, JobStore, JobTypeStore, Tally, TokenStore, WorkerRegistry

if TYPE_CHECKING:
    from app.service import Service

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_JSON: Final = (b"content-type", b"application/json")


class Answer(NamedTuple):
    """What an endpoint says: JSON bytes, ready to send."""

    body: bytes
    status: int = 200
    headers: Headers = ()


Streamed = Callable[[Receive, Send], Awaitable[None]]
"""What an endpoint returns that reads the body, and answers, bit by bit."""


class Call(Request):
    """The request in hand: who calls, and what serves them. A Request only so that FastAPI leaves it alone."""

    def __init__(self, scope: Scope, receive: Receive, *, service: Service, caller: Caller | None) -> None:
        super().__init__(scope, receive)
        self.service, self._caller = service, caller

    @property
    def namespace(self) -> str:
        assert self._caller is not None, "a route that is open to everybody has no namespace"
        return self._caller.namespace

    @property
    def jobs(self) -> JobStore:
        return self.service.storage.jobs(self.namespace)

    @property
    def tokens(self) -> TokenStore:
        return self.service.storage.tokens(self.namespace)

    @property
    def events(self) -> EventLog:
        return self.service.storage.events(self.namespace)

    @property
    def job_types(self) -> JobTypeStore:
        return self.service.storage.job_types(self.namespace)

    @property
    def tally(self) -> Tally:
        return self.service.storage.tally(self.namespace)

    @property
    def workers(self) -> WorkerRegistry:
        return self.service.storage.workers(self.namespace)

    @property
    def ready(self) -> Callable[[set[str]], None]:
        """Tells whoever waits for work that jobs of these types can be claimed."""
        return self.service.announcer("ready", self.namespace)

    async def callback_urls(self) -> CallbackUrls:
        """Those of tokens, below the base that callers reach us by."""
        return await callback_urls_of(self.service.storage, self.service.settings.public_url or self._own_base())

    def _own_base(self) -> str:
        host = dict(self.scope["headers"]).get(b"host", b"")
        if _HOST.fullmatch(host):
            return f"{self.scope['scheme']}://{host.decode()}{self.scope.get('root_path', '')}"
        settings = self.service.settings
        return base_of(public_url=None, host=settings.host, port=settings.port)

    async def hang_up(self) -> None:
        """Return when the caller has hung up; for after the body was read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


class JsonRoute(APIRoute):
    """A route whose endpoint takes what it declares and returns an `Answer`, or something `Streamed`.

    It may declare path parameters, headers, one model of the query, one model of the body, and a `Call`.
    """

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        # The function's name, so that generated clients have readable methods.
        options["operation_id"] = options.get("operation_id") or endpoint.__name__
        super().__init__(path, endpoint, **options)
        hints = get_type_hints(endpoint, include_extras=True)
        given = self.dependant
        self._scopes = scopes_of(self.dependencies)
        self._call = given.request_param_name
        self._paths = [(p.alias, p.name, TypeAdapter(hints[p.name])) for p in given.path_params]
        self._headers = [
            (p.name.replace("_", "-").encode(), p.name, TypeAdapter(hints[p.name])) for p in given.header_params
        ]
        self._query = _only([(p.name, hints[p.name]) for p in given.query_params])
        self._body = _only([(p.name, hints[p.name]) for p in given.body_params])
        self._body_required = self.body_field is not None and self.body_field.field_info.is_required()
        if self._body is not None:
            self._validate_body = TypeAdapter(self._body[1]).validator.validate_json
            self._body_limit = _model_in(self._body[1]).body_limit

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["path"] == self.path and scope["type"] == "http" and self._answers(scope["method"]):
            # A path without parameters, as the busiest are: comparing is all there is to it.
            return Match.FULL, {"endpoint": self.endpoint, "path_params": {}, "route": self}
        match, child = super().matches(scope)
        if match is not Match.NONE and self.param_convertors and scope["path"] in scope["app"].plain_paths:
            # A path that is written out is never a parameter's: GET /v1/jobs/batch asks for no job called batch.
            return Match.NONE, {}
        if match is Match.PARTIAL and self._answers(scope["method"]):
            return Match.FULL, child
        return match, child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._answers(scope["method"]):
            raise HTTPException(405)
        service: Service = scope["app"].service
        headers: dict[bytes, bytes] = dict(scope["headers"])
        arguments: dict[str, Any] = {}
        caller = await self._admit(scope, headers)
        if self._call is not None:
            arguments[self._call] = Call(scope, receive, service=service, caller=caller)
        if self._paths:
            for alias, name, adapter in self._paths:
                arguments[name] = _one(adapter, scope["path_params"][alias], ("path", name))
        if self._headers:
            self._take_headers(headers, scope["headers"], arguments)
        if self._query is not None:
            name, model = self._query
            arguments[name] = read_query(model, scope["query_string"])
        elif scope["query_string"]:
            read_query(NoQuery, scope["query_string"])
        if self._body is not None:
            await self._take_body(self._body[0], receive, headers, service, arguments)
        answer: Answer | Streamed = await self.endpoint(**arguments)
        if not isinstance(answer, Answer):
            await answer(receive, send)
            return
        of_body = () if answer.status == 204 else (_JSON, (b"content-length", b"%d" % len(answer.body)))
        sent = [*of_body, *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": sent})
        await send({"type": "http.response.body", "body": answer.body})

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Whose call it is, if the key may do this; None for a route that is open to everybody."""
        if self._scopes is None:
            return None
        service: Service = scope["app"].service
        caller = await service.auth.caller(headers, scope)
        if self._scopes and not caller.may(*self._scopes):
            raise InsufficientScope(self._scopes)
        return caller

    def _answers(self, method: str) -> bool:
        methods = self.methods or ()
        return method in methods or (method == "HEAD" and "GET" in methods)

    def _take_headers(
        self, headers: Mapping[bytes, bytes], raw: Sequence[tuple[bytes, bytes]], arguments: dict[str, Any]
    ) -> None:
        for header, name, adapter in self._headers:
            if header not in headers:
                continue
            if len({value for key, value in raw if key == header}) > 1:
                raise invalid(("header", header.decode()), "is given more than once, with different values")
            arguments[name] = _one(adapter, _decoded(headers[header]), ("header", header.decode()))

    async def _take_body(
        self,
        name: str,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        service: Service,
        arguments: dict[str, Any],
    ) -> None:
        body = await read_body(receive, headers, limit=getattr(service.settings, self._body_limit))
        if not body and not self._body_required:
            return
        check_media_type(headers)
        try:
            arguments[name] = self._validate_body(body)
        except ValidationError as error:
            raise problem_from(error, at=("body",)) from None


def _only(models: list[tuple[str, Any]]) -> tuple[str, Any] | None:
    assert len(models) < 2, "one model describes the whole query, one the whole body"
    return models[0] if models else None


def _model_in(annotation: Any) -> type[RequestBody]:
    """The model of `Model` or `Model | None`."""
    for choice in get_args(annotation) or (annotation,):
        if isinstance(choice, type) and issubclass(choice, RequestBody):
            return choice
    raise AssertionError("a body is a RequestBody")


def _one(adapter: TypeAdapter[Any], value: str, at: tuple[str, ...]) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise problem_from(error, at=at) from None


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
