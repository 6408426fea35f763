"""One answer, as its bytes come: what may be large is bounded, and nothing is decoded."""

from __future__ import annotations

from collections import deque
from typing import Final

import httptools

from dataqueue.egress.errors import BodyTooLarge, BrokenAnswer, CallFailed, HeadersTooLarge

LARGEST_HEAD: Final = 16 * 1024
# A chunk of one byte is six on the wire; extensions and trailers are nobody's to fill a connection with.
_WIRE_PER_BYTE: Final = 16
_WIRE_AT_LEAST: Final = 64 * 1024
_WITHOUT_BODY: Final = frozenset({204, 304})
_NOT_HTTP: Final = "the answer is not HTTP/1.1"
_EARLY: Final = "the connection was closed before the answer was complete"


class AnswerReader:
    """Fed with what a connection brings; holds the head once it is there, and the chunks nobody has taken yet."""

    __slots__ = (
        *("status", "headers", "chunks", "waiting", "has_head", "complete", "heard", "_limit", "_kept", "_wire"),
        *("_parser", "_until_closed", "_keep_alive", "_more", "_failure"),
    )

    def __init__(self, *, max_body: int) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: deque[bytes] = deque()
        # Bytes in `chunks`.
        self.waiting = 0
        self.has_head = self.complete = self.heard = False
        self._limit, self._kept, self._wire = max_body, 0, 0
        self._until_closed = self._keep_alive = self._more = False
        self._failure: CallFailed | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    @property
    def reusable(self) -> bool:
        """Whether the connection, as far as the receiver is concerned, can serve another call."""
        return self.complete and self._keep_alive and not self._until_closed and not self._more

    def feed(self, data: bytes) -> None:
        """Take what came. CallFailed when it goes too far, or is no HTTP; then the connection is of no use."""
        self.heard = True
        if not self.has_head:
            # The parser is never shown more of a head than it may have.
            room = LARGEST_HEAD - self._wire
            self._parse(data[:room])
            data = data[room:]
        if not self.has_head and self._wire >= LARGEST_HEAD:
            raise HeadersTooLarge(f"the head of the answer is larger than {LARGEST_HEAD} bytes")
        if data:
            self._parse(data)
            if self._wire > LARGEST_HEAD + _WIRE_AT_LEAST + _WIRE_PER_BYTE * self._limit:
                raise BodyTooLarge(self._limit, status=self.status)

    def end(self) -> None:
        """The receiver sends no more. BrokenAnswer, unless the answer is whole by that."""
        if self.has_head and self._until_closed:
            self.on_message_complete()
        if not self.complete:
            raise BrokenAnswer(_EARLY)

    def take(self) -> bytes:
        """The next chunk there is."""
        chunk = self.chunks.popleft()
        self.waiting -= len(chunk)
        return chunk

    def _parse(self, data: bytes) -> None:
        self._wire += len(data)
        if self._parser is None:
            self._more = True
            return
        understood = True
        try:
            self._parser.feed_data(data)
        # What our own methods raise comes out as the parser's error.
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            understood = False
        if understood and not self.complete:
            return
        # It holds us, and we hold it.
        self._parser = None
        if self.complete:
            self._more = self._more or not understood
        elif not understood:
            # Out here, no traceback leads to the text that was not understood.
            raise self._failure or BrokenAnswer(_NOT_HTTP)

    def on_message_begin(self) -> None:
        """Of the parser. Behind the answer there is nothing that we asked for."""
        self._more = self._more or self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the parser. What follows a body is no header of ours."""
        if not self.has_head:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        """Of the parser."""
        if self.complete or self._parser is None:
            return
        status = self._parser.get_status_code()
        if self._parser.get_http_version() not in {"1.0", "1.1"} or status == 101 or not 100 <= status <= 599:
            raise BrokenAnswer(_NOT_HTTP)
        if status < 200:
            self.headers.clear()
            return
        self.status, self.has_head = status, True
        self._keep_alive = self._parser.should_keep_alive()
        length, coding = self.headers.get("content-length"), self.headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            raise BrokenAnswer(_NOT_HTTP)
        self._until_closed = length is None and coding is None and status not in _WITHOUT_BODY
        if length is not None and status not in _WITHOUT_BODY and int(length) > self._limit:
            self._refuse()

    def on_body(self, chunk: bytes) -> None:
        """Of the parser."""
        if self.complete:
            return
        room = self._limit - self._kept
        kept = chunk[:room]
        if kept:
            self._kept += len(kept)
            self.waiting += len(kept)
            self.chunks.append(kept)
        if len(chunk) > room:
            self._refuse()

    def on_message_complete(self) -> None:
        """Of the parser. Messages of 1xx come before the answer, and are none."""
        if self.has_head:
            self.complete = True

    def _refuse(self) -> None:
        self._failure = BodyTooLarge(self._limit, status=self.status)
        raise self._failure
