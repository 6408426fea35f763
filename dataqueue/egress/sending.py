"""The bytes of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from dataqueue.egress.urls import Target
from dataqueue.errors import Invalid

# They say how the connection is used, or what of the answer is understood: ours to say.
RESERVED: Final = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    }
)
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e]*")
# Nothing but identity: a compressed body would have to be inflated to be bounded.
_OURS: Final = "accept-encoding: identity\r\n"
_AGENT: Final = "user-agent: dataqueue\r\n"


def request_of(target: Target, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The whole request. Invalid for a header that cannot be sent, or is not the caller's to set."""
    lines = [f"{method} ", target.path.decode("ascii"), f" HTTP/1.1\r\nhost: {target.authority}\r\n", _OURS]
    has_agent = False
    for name, value in headers.items():
        line, key = f"{name}: {value}", name.lower()
        if key in RESERVED or not _HEADER.fullmatch(line):
            raise Invalid("this header cannot be sent", loc=("headers", name))
        has_agent = has_agent or key == "user-agent"
        lines.append(f"{line}\r\n")
    if not has_agent:
        lines.append(_AGENT)
    lines.append(f"content-length: {len(body)}\r\n\r\n")
    return "".join(lines).encode("ascii") + body
