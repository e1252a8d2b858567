"""What a client in Python tells of its run: wall clock and CPU from first connection to last reply."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


def read_job() -> dict[str, Any]:
    job: dict[str, Any] = json.loads(sys.argv[1])
    return job


def read_content(job: dict[str, Any]) -> bytes:
    """The ready mail, with CRLF line ends."""
    return Path(job["content_file"]).read_bytes()


class Stopwatch:
    def __init__(self) -> None:
        self._used, self._began = _used(), time.perf_counter()

    def tell(self, mails: int, **more: float) -> None:
        """Print the result; interpreter start and imports are not in it."""
        seconds = time.perf_counter() - self._began
        user, kernel = (now - then for now, then in zip(_used(), self._used, strict=True))
        cpu = {"cpu_seconds": user + kernel, "kernel_seconds": kernel}
        print(json.dumps({"mails": mails, "seconds": seconds, **cpu, **more}))


def _used() -> tuple[float, float]:
    """Seconds of CPU in user and kernel mode."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime
