"""What really happened: an append-only file of JSON lines, one per outcome or action.

A record is in the file before anybody hears of it, so a killed sandbox forgets nothing that it
promised; everything else the sandbox knows is derived from the records.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ACCEPTED = "accepted"  # 250 after the final dot, even if the reply was withheld
REJECTED = "rejected"  # 5yz to RCPT or to the final dot
DEFERRED = "deferred"  # 4yz, 421 included
DROPPED = "dropped"  # connection cut after the final dot without accepting
SCRIPTED = "scripted"  # somebody gave an address a behaviour
GAVE_UP = "gave_up"  # an action that could not be done; detail says why


@dataclass(frozen=True, slots=True)
class Record:
    """One line. `detail` depends on the kind; `at` is epoch milliseconds."""

    seq: int
    at: int
    kind: str
    recipient: str
    sender: str
    message_id: str
    detail: Mapping[str, Any]

    def as_line(self) -> bytes:
        """Return the record as it stands in the file."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields).encode() + b"\n"


def now_ms() -> int:
    """Return the time of day in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Ledger:
    """Appends records and tells every reader of them, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._readers: list[Callable[[Record], None]] = []
        self._last_seq = 0
        self._descriptor = -1

    def add_reader(self, reader: Callable[[Record], None]) -> None:
        """Have `reader` called with every record; before `open`, so that it sees the old ones."""
        self._readers.append(reader)

    def open(self) -> None:
        """Replay what is on disk. A half-written last line, left by a kill, is cut off."""
        whole = 0
        if self.path.exists():
            for line in self.path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    whole += len(line)
                    self._tell(Record(**json.loads(line)))
            os.truncate(self.path, whole)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(
        self,
        kind: str,
        *,
        recipient: str = "",
        sender: str = "",
        message_id: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> Record:
        """Write one record; on return the kernel has it."""
        record = Record(
            self._last_seq + 1, now_ms(), kind, recipient, sender, message_id, detail or {}
        )
        os.write(self._descriptor, record.as_line())
        self._tell(record)
        return record

    def records(self, after: int = 0) -> Iterator[Record]:
        """Read the records with a `seq` above `after` from disk."""
        with self.path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    record = Record(**json.loads(line))
                    if record.seq > after:
                        yield record

    def close(self) -> None:
        """Close the file; appending is over."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _tell(self, record: Record) -> None:
        self._last_seq = record.seq
        for reader in self._readers:
            reader(record)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Spool:
    """The accepted mails themselves, one behind the other in one file."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def put(self, content: bytes) -> tuple[int, int]:
        """Keep `content`; return its offset and length."""
        os.write(self._descriptor, content)
        self._size += len(content)
        return self._size - len(content), len(content)

    def get(self, offset: int, length: int) -> bytes:
        """Return what `put` kept there."""
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
