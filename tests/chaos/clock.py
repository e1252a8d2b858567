"""A wall clock of the stage's own, which can jump; timers go on by the real one (libfaketime)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
_SITE = Path(__file__).parent / "faked_time"  # a sitecustomize


class Clock:
    """Read from a file by every process that starts with `environment()`; NATS keeps the real time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = timedelta()
        self._write()

    @staticmethod
    def missing() -> str:
        """Why there can be none here, or ""."""
        return "" if _LIBRARY else "libfaketime is not here: apt-get install faketime"

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(_LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(_SITE),
        }

    def jump(self, by: timedelta) -> None:
        self._ahead += by
        self._write()

    def jump_to(self, moment: datetime) -> None:
        self._ahead = moment - datetime.now(UTC)
        self._write()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")  # a reader sees the old offset or the new one
        fresh.write_text(f"{self._ahead.total_seconds():+.3f}s\n")
        fresh.replace(self._file)
