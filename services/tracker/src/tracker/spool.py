"""Hits on disk while the bus does not answer: append-only segments, bounded, published later.

A line is a hit. What was confirmed to a caller has been fsynced. A segment is deleted when all of
its hits are confirmed by the bus; after a crash in between its hits are published again, and their
ids make that harmless. Whoever writes or reads a segment holds its lock (flock), so that processes
may share the directory, and one takes over what a killed one left.
"""

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

_SEGMENT_BYTES = 8 << 20
_RESERVED = 0.1  # of the space is for unsubscribes only

T = TypeVar("T")


class SpoolFull(Exception):
    """No room (or no disk) left for these hits."""


class Spool:
    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = asyncio.Lock()  # one thread at a time touches the files
        self._writing: int | None = None  # descriptor of the segment that takes lines
        self._size = 0
        self._reading: int | None = None
        self._used = self._total()

    @property
    def used_bytes(self) -> int:
        return self._used

    @property
    def empty(self) -> bool:
        return self._used == 0

    async def append(self, lines: Sequence[bytes], *, precious: bool) -> None:
        """Append and fsync. Raises SpoolFull; `precious` lines may use the reserve too."""
        await self._alone(partial(self._append, lines, precious))

    async def oldest(self) -> tuple[Path, list[bytes]] | None:
        """The oldest segment that nobody else holds, and its lines; it takes no more of them."""
        return await self._alone(self._oldest)

    async def remove(self, segment: Path) -> None:
        """Delete the segment that `oldest` returned last: its lines are all published."""
        await self._alone(partial(self._remove, segment))

    async def close(self) -> None:
        """Leave the segments to whoever comes next."""
        await self._alone(self._close)

    async def _alone(self, work: Callable[[], T]) -> T:
        """Work in a thread. It goes on when the caller is cancelled, and the next one waits for it."""
        return await asyncio.shield(self._locked(work))

    async def _locked(self, work: Callable[[], T]) -> T:
        async with self._lock:
            return await asyncio.to_thread(work)

    def _close(self) -> None:
        self._end_segment()
        self._release()

    def _append(self, lines: Sequence[bytes], precious: bool) -> None:
        data = b"".join(line + b"\n" for line in lines)
        room = self._max_bytes * (1.0 if precious else 1.0 - _RESERVED)
        if self._used + len(data) > room:
            raise SpoolFull(f"{self._directory} holds {self._used} bytes of {self._max_bytes}")
        try:
            if self._writing is None or self._size >= _SEGMENT_BYTES:
                self._new_segment()
            self._write(data)
        except OSError as error:
            self._end_segment()  # its end may be torn: what follows goes to another one
            raise SpoolFull(f"{self._directory}: {error.strerror}") from error

    def _write(self, data: bytes) -> None:
        if self._writing is None:
            raise OSError(errno.EBADF, "no segment is open")
        if os.write(self._writing, data) != len(data):
            raise OSError(errno.ENOSPC, "no space left on the device")
        os.fsync(self._writing)
        self._size += len(data)
        self._used += len(data)

    def _new_segment(self) -> None:
        self._end_segment()
        name = f"hits-{time.time_ns():020d}-{uuid4().hex[:8]}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._writing, self._size = os.open(self._directory / name, flags, 0o600), 0
        fcntl.flock(self._writing, fcntl.LOCK_EX)

    def _end_segment(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
        self._writing = None

    def _oldest(self) -> tuple[Path, list[bytes]] | None:
        self._end_segment()
        self._release()
        for segment in self._segments():
            self._reading = _open_alone(segment)
            if self._reading is not None:
                # Without its newline a last line is torn, and was confirmed to nobody.
                return segment, segment.read_bytes().split(b"\n")[:-1]
        return None

    def _remove(self, segment: Path) -> None:
        segment.unlink()
        self._release()
        self._used = self._total()

    def _release(self) -> None:
        if self._reading is not None:
            os.close(self._reading)
        self._reading = None

    def _total(self) -> int:
        return sum(path.stat().st_size for path in self._segments())

    def _segments(self) -> list[Path]:
        return sorted(self._directory.glob("hits-*.jsonl"))


def _open_alone(segment: Path) -> int | None:
    """A locked descriptor, or None if another process holds or has just deleted the segment."""
    try:
        descriptor = os.open(segment, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return None
    return descriptor
