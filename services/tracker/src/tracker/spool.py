"""Hits on disk while the bus does not answer: append-only segments, bounded, published later.

A line is a hit. What was confirmed to a caller has been fsynced. A segment is deleted when all of
its hits are confirmed by the bus; after a crash in between its hits are published again, and their
ids make that harmless.
"""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

log = logging.getLogger(__name__)

_SEGMENT_BYTES = 8 << 20
_RESERVED = 0.1  # of the space is for unsubscribes only


class SpoolFull(Exception):
    """No room (or no disk) left for these hits."""


class Spool:
    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = asyncio.Lock()  # one thread at a time touches the files
        self._current: Path | None = None
        self._size = 0
        self._used = self._total()

    @property
    def used_bytes(self) -> int:
        return self._used

    @property
    def empty(self) -> bool:
        return self._used == 0

    async def append(self, lines: Sequence[bytes], *, precious: bool) -> None:
        """Append and fsync. Raises SpoolFull; `precious` lines may use the reserve too."""
        async with self._lock:
            await asyncio.to_thread(self._append, lines, precious)

    async def oldest(self) -> tuple[Path, list[bytes]] | None:
        """The oldest segment and its lines; it takes no more lines from now on."""
        async with self._lock:
            return await asyncio.to_thread(self._oldest)

    async def remove(self, segment: Path) -> None:
        """Delete a segment whose lines are all published."""
        async with self._lock:
            await asyncio.to_thread(self._remove, segment)

    def _append(self, lines: Sequence[bytes], precious: bool) -> None:
        data = b"".join(line + b"\n" for line in lines)
        room = self._max_bytes * (1.0 if precious else 1.0 - _RESERVED)
        if self._used + len(data) > room:
            raise SpoolFull(f"{self._directory} holds {self._used} bytes of {self._max_bytes}")
        if self._current is None or self._size >= _SEGMENT_BYTES:
            self._current, self._size = self._new_segment(), 0
        try:
            written = _append_durably(self._current, data)
        except OSError as error:
            self._current = None  # its end may be torn: what follows goes to another one
            raise SpoolFull(f"{self._directory}: {error.strerror}") from error
        self._size += written
        self._used += written

    def _new_segment(self) -> Path:
        return self._directory / f"hits-{time.time_ns():020d}-{uuid4().hex[:8]}.jsonl"

    def _total(self) -> int:
        return sum(path.stat().st_size for path in self._segments())

    def _segments(self) -> list[Path]:
        return sorted(self._directory.glob("hits-*.jsonl"))

    def _oldest(self) -> tuple[Path, list[bytes]] | None:
        segments = self._segments()
        if not segments:
            self._used = 0
            return None
        if segments[0] == self._current:
            self._current = None
        return segments[0], segments[0].read_bytes().split(b"\n")[:-1]

    def _remove(self, segment: Path) -> None:
        segment.unlink()
        self._used = self._total()


def _append_durably(path: Path, data: bytes) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(28, "no space left on the device")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return len(data)
