"""A request's body, read off the wire: bounded as it arrives, and only of a kind we parse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.types import Receive

from app.edge import ClientGone
from app.errors import Code, Problem

_USUAL: Final = b"application/json"


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], *, limit: int) -> bytes:
    """The whole body. 413 as soon as it has, or says it will have, more bytes than `limit`."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def check_media_type(headers: Mapping[bytes, bytes], *, usual: bytes = _USUAL) -> None:
    """415 unless the body is JSON as far as its headers say; saying nothing is fine."""
    media_type = headers.get(b"content-type", usual)
    if media_type != usual and b"json" not in media_type.partition(b";")[0].lower():
        raise _unsupported(f"Send JSON, with content-type {usual.decode()}.")
    check_encoding(headers)


def check_encoding(headers: Mapping[bytes, bytes]) -> None:
    """415 for a body that would have to be unpacked first."""
    if headers.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
        raise _unsupported("Send the body as it is, without a content-encoding.")


def _too_large(limit: int) -> Problem:
    return Problem(413, Code.BODY_TOO_LARGE, f"The body is larger than the limit of {limit} bytes.")


def _unsupported(detail: str) -> Problem:
    return Problem(415, Code.UNSUPPORTED_MEDIA_TYPE, detail)
