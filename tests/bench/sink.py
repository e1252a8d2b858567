"""Postfix's `smtp-sink` on a port of its own: takes every mail and forgets it."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.clients import SINK_CORE, pin_argv
from tests.support.mailpeers import missing_postfix
from tests.support.ports import free_ports
from tests.support.process import ServerProcess, listens


class Sink:
    """`with Sink() as sink: … sink.port`; on the second core unless it is not to be pinned."""

    def __init__(self, *, pipelining: bool = True, pinned: bool = True, until: int = 0) -> None:
        self.port = free_ports(1)[0]
        self._folder = tempfile.TemporaryDirectory(prefix="sink")
        argv = ["smtp-sink", *([] if pipelining else ["-p"])]
        argv += ["-M", str(until)] if until else []  # ends by itself after so many mails
        argv += ["-u", "nobody", f"127.0.0.1:{self.port}", "1024"]
        self._argv = pin_argv(SINK_CORE, argv) if pinned else argv
        self._process: ServerProcess | None = None

    @staticmethod
    def missing() -> str | None:
        return missing_postfix("smtp-sink", "smtp-source")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self._process = ServerProcess(self._argv, Path(self._folder.name) / "log")
        self._process.wait_until(lambda: listens(self.port), "the sink's greeting")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process:
            self._process.kill()
        self._folder.cleanup()
