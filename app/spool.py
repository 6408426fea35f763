"""Bytes on their way to somebody who reads them when it pleases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Final, Self

IN_MEMORY: Final = 1 << 20
_PIECE: Final = 1 << 16


class Spool:
    """First in, first out: in memory up to a size, beyond it in a temporary file. Adding never waits for the reader.

    What has been read is given up whenever the reader has caught up.
    """

    def __init__(self, *, in_memory: int = IN_MEMORY) -> None:
        self._file = SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115 - closed at the end of the block
        self._size = self._read = 0
        self._added = asyncio.Event()
        self._ended = False
        self.taken = 0
        """How many bytes were read so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._file.close()

    def add(self, data: bytes) -> None:
        """Append; after the end of the block, when nobody will read it, it goes nowhere."""
        if self._file.closed or not data:
            return
        self._file.seek(self._size)
        self._file.write(data)
        self._size += len(data)
        self._added.set()

    def end(self) -> None:
        """Nothing more will be added."""
        self._ended = True
        self._added.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What is added, until the end."""
        while True:
            self._added.clear()
            while piece := self._take():
                yield piece
            if self._ended:
                return
            await self._added.wait()

    def _take(self) -> bytes:
        self._file.seek(self._read)
        piece = self._file.read(_PIECE)
        self._read += len(piece)
        self.taken += len(piece)
        if self._read == self._size:
            self._file.seek(0)
            self._file.truncate()
            self._size = self._read = 0
        return piece
