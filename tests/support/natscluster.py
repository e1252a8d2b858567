"""Three nats-servers as deploy/nats/cluster.conf makes them, on ports of this machine."""

import asyncio
import json
import os
import signal
import sysconfig
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import nats
from nats.aio.client import Client

from postfleet.bus import Bus
from postfleet.tls import tls_options
from tests.support.natsdeployed import (
    DEPLOY,
    USERS,
    DeployedNats,
    make_certificates,
    password,
    placed,
    variable,
)
from tests.support.ports import free_ports
from tests.support.process import ServerProcess

NODES = ("nats-1", "nats-2", "nats-3")


class NatsCluster:
    """`kill`, `pause`, `resume` and `start` a node by name; `url` names all three."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="natscluster")
        self._root = Path(self._folder.name)
        make_certificates(self._root / "tls")
        self.ca_file = str(self._root / "tls/ca.crt")
        ports = free_ports(3 * len(NODES))
        self._client_port = dict(zip(NODES, ports[0:3], strict=True))
        self._route_port = dict(zip(NODES, ports[3:6], strict=True))
        self._monitor_port = dict(zip(NODES, ports[6:9], strict=True))
        self.url = ",".join(f"tls://localhost:{port}" for port in self._client_port.values())
        self._nodes: dict[str, ServerProcess] = {}

    @staticmethod
    def missing() -> str | None:
        """Why it cannot run here, or None."""
        return DeployedNats.missing()

    def __enter__(self) -> Self:
        try:
            for node in NODES:
                self._spawn(node)
            for node in NODES:
                self._nodes[node].wait_until(lambda node=node: self._ready(node), "JetStream", 30)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for node in self._nodes.values():
            node.kill()
        self._folder.cleanup()

    def kill(self, node: str) -> None:
        """SIGKILL; its store stays."""
        self._nodes[node].kill()

    def pause(self, node: str) -> None:
        self._nodes[node].pause()

    def resume(self, node: str) -> None:
        self._nodes[node].signal(signal.SIGCONT)

    def start(self, node: str) -> None:
        """Again, on the same ports and store."""
        self._spawn(node)
        self._nodes[node].wait_until(lambda: self._ready(node), "JetStream", 30)

    async def connect(self, user: str = "ops") -> Client:
        return await nats.connect(
            self.url.split(","),
            user=user,
            password=password(user),
            inbox_prefix=f"_INBOX_{user}".encode(),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,
            **tls_options(self.url, self.ca_file),
        )

    def bus(self, service: str) -> Bus:
        return Bus(
            self.url, service, user=service, password=password(service), ca_file=self.ca_file
        )

    async def leader(self, stream: str, client: Client) -> str:
        """The node that leads the stream now; waits for an election."""
        async with asyncio.timeout(30):
            while True:
                info = await client.jetstream(timeout=10).stream_info(stream)
                if info.cluster and info.cluster.leader:
                    return info.cluster.leader
                await asyncio.sleep(0.1)

    def _spawn(self, node: str) -> None:
        folder = self._root / node
        folder.mkdir(exist_ok=True)
        for name in ("nats.conf", "cluster.conf"):
            text = placed((DEPLOY / name).read_text(), self._root / "tls")
            text = text.replace("0.0.0.0:6222", f"127.0.0.1:{self._route_port[node]}")
            (folder / name).write_text(text)
        routes = ",".join(f"nats-route://localhost:{port}" for port in self._route_port.values())
        argv = [
            *(str(Path(sysconfig.get_path("scripts")) / "nats-server"), "--name", node),
            *("--config", str(folder / "cluster.conf"), "--store_dir", str(folder / "store")),
            *("--addr", "127.0.0.1", "--port", str(self._client_port[node])),
            *("--http_port", str(self._monitor_port[node]), "--routes", routes),
        ]
        env = {**os.environ, **{variable(user): password(user) for user in USERS}}
        if node in self._nodes:
            self._nodes[node].kill()
        self._nodes[node] = ServerProcess(argv, folder / "nats.log", env)

    def _ready(self, node: str) -> bool:
        try:
            address = f"http://127.0.0.1:{self._monitor_port[node]}/jsz"
            with urllib.request.urlopen(address, timeout=1) as answer:
                return bool(json.load(answer).get("meta_cluster", {}).get("leader"))
        except (OSError, ValueError):
            return False

    def route_port(self, node: str) -> int:
        """Where the other nodes reach it."""
        return self._route_port[node]

    def logs(self, node: str) -> str:
        """The end of a node's log."""
        return self._nodes[node].tail()
