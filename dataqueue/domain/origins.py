"""Origins of browser pages, exactly as a browser names them."""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_ORIGIN: Final = re.compile(
    rf"(?P<scheme>https?)://(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]+\])(?::(?P<port>[1-9][0-9]{{0,4}}))?"
)
_DEFAULT_PORT: Final = {"http": "80", "https": "443"}
_EXACT: Final = (
    "must be written as a browser sends it, as in https://app.example.com or http://127.0.0.1:8080: in lower case, "
    "without a path, a final slash, or the port that its scheme has anyway"
)


def parse_origins(text: str) -> tuple[str, ...]:
    """Read origins separated by commas; ValueError, fit to be shown to a person, when one would never match."""
    origins = [part.strip() for part in text.split(",") if part.strip()]
    for number, origin in enumerate(origins, start=1):
        if "*" in origin:
            raise ValueError("* would let the pages of every site in: name each origin, as in https://app.example.com")
        found = _ORIGIN.fullmatch(origin)
        # They are compared byte by byte: another spelling of the same place would let nobody in, and say nothing.
        if found is None or not _is_kept(found["scheme"], found["port"]):
            which = "the origin" if len(origins) == 1 else f"origin {number}"
            raise ValueError(f"{which} {_EXACT}")
    return tuple(dict.fromkeys(origins))


def _is_kept(scheme: str, port: str | None) -> bool:
    return port is None or (port != _DEFAULT_PORT[scheme] and int(port) < 1 << 16)
