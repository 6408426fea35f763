"""Routes with names in their path, which may hold any character, a slash among them (details B13)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

from starlette.routing import Match
from starlette.types import Scope

from app.routing import JsonRoute

_PLAIN: Final = "/:@!$&'()*+,;=~"


class NamedRoute(JsonRoute):
    """A route that is found by the path as it was sent: a slash that is percent-encoded ends no segment.

    So `/v1/job-types/a%2Fb/pause` pauses the type `a/b`, and `/v1/job-types/pause` reads the type `pause`.
    """

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._segments = [(part.strip("{}"), part.startswith("{")) for part in path.split("/")]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        sent = _path_as_sent(scope).split(b"/")
        if len(sent) != len(self._segments):
            return Match.NONE, {}
        params = {}
        for raw, (name, is_param) in zip(sent, self._segments, strict=True):
            # What is no UTF-8 stays recognisable as such, and is refused when the parameter is validated.
            value = unquote_to_bytes(raw).decode("utf-8", "surrogateescape")
            if not (value if is_param else value == name):
                return Match.NONE, {}
            if is_param:
                params[name] = value
        found = Match.FULL if self._answers(scope["method"]) else Match.PARTIAL
        return found, {"endpoint": self.endpoint, "path_params": params, "route": self}


def _path_as_sent(scope: Scope) -> bytes:
    # A server need not keep it; names without a slash are then still found.
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe=_PLAIN).encode()
    return raw.partition(b"?")[0].removeprefix(scope.get("root_path", "").encode())
