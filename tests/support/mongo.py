"""The MongoDB that tests use: the embedded one, or a real one named by MONGODB_URL."""

import os
import secrets
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.support.ports import free_ports
from tests.support.process import ServerProcess


class MongoServer:
    """`url` and database names of its own; only the embedded server can be killed."""

    def __init__(self) -> None:
        external = os.environ.get("MONGODB_URL", "")
        self.embedded = not external
        self.port = free_ports(1)[0] if self.embedded else 0
        self.url = external or f"mongodb://127.0.0.1:{self.port}/?w=1"
        self.prefix = f"test_{secrets.token_hex(4)}_"
        self._root: Path | None = None
        self._server: ServerProcess | None = None

    @staticmethod
    def missing() -> str | None:
        """Why no server can be had here, or None."""
        if os.environ.get("MONGODB_URL") or find_spec("nx_27017"):
            return None
        return "nx-27017 not found: install the wheel nx-27017, or set MONGODB_URL"

    def database(self, name: str) -> str:
        """The name to use for a database, so that runs sharing one server do not meet."""
        return f"{self.prefix}{name}"

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
        """Start, or start again on the same port and files; return when it answers a ping."""
        if not self.embedded or (self._server and self._server.running):
            return
        if reason := self.missing():
            raise RuntimeError(reason)
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="mongo"))
        argv = [sys.executable, "-m", "postfleet_cli.quiet_database"]  # as `postfleet up` runs it
        argv += ["--host", "127.0.0.1", "--port", str(self.port)]
        argv += ["--data-dir", str(self._root / "data")]
        # Both default to one fixed name in the temporary directory, shared by all servers.
        argv += ["--pid-file", str(self._root / "pid"), "--log-file", str(self._root / "nx.log")]
        if self._server:
            self._server.kill()  # it ended by itself: forget it properly
        self._server = ServerProcess(argv, self._root / "out")
        self._server.wait_until(self._ready, "answer to ping")

    def stop(self) -> None:
        """End the embedded server and remove its files; of a real one, drop our databases."""
        if not self.embedded:
            self._drop_databases()
        if self._server:
            self._server.kill()
        if self._root:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def kill(self) -> None:
        """SIGKILL the embedded server; its files stay for the next `start`."""
        if self._server is None:
            raise RuntimeError("only a started embedded server can be killed: unset MONGODB_URL")
        self._server.kill()

    @property
    def pid(self) -> int | None:
        """Of the embedded server; None for one that `MONGODB_URL` names."""
        return self._server.pid if self._server else None

    @property
    def files(self) -> Path:
        """Where the embedded server keeps its databases, a file each."""
        if self._root is None:
            raise RuntimeError("only a started embedded server has files: unset MONGODB_URL")
        return self._root / "data"

    def logs(self) -> str:
        """The end of the embedded server's output, for the message of a failing test."""
        return self._server.tail() if self._server else ""

    def _ready(self) -> bool:
        try:
            with self._client(timeout_ms=500) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    def _drop_databases(self) -> None:
        with self._client(timeout_ms=5000) as client:
            for name in client.list_database_names():
                if name.startswith(self.prefix):
                    client.drop_database(name)

    def _client(self, timeout_ms: int) -> MongoClient[dict[str, Any]]:
        return MongoClient(self.url, serverSelectionTimeoutMS=timeout_ms)
