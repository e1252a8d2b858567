"""Starts everything in order, keeps it running, and ends it in the reverse order."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from postfleet import forked
from postfleet_cli import bus_apply, plan, ports
from postfleet_cli.child import Child, Program, Say
from postfleet_cli.datadir import DataDir, Keys
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.plan import Addresses, Options

if TYPE_CHECKING:
    import httpx

_SERVER_PATIENCE_S = 60.0  # a stream or database is read back after a crash
_DRAIN_S = 25.0
_SERVERS_END_S = 2.0
_REMIND_EVERY_S = 20.0
_POLL_S = 0.2
_SERVER_POLL_S = 0.05
_HEALTH_EVERY_S = 3.0
_UNHEALTHY_LOOKS = 3


class Supervisor:
    """Everything `postfleet up` runs. `start`, wait `until_ready`, `drain`."""

    def __init__(
        self,
        options: Options,
        data: DataDir,
        keys: Keys,
        where: Addresses,
        environ: Mapping[str, str],
        say: Say,
    ) -> None:
        self.where, self.data, self.keys = where, data, keys
        self._options, self._environ, self._say = options, environ, say
        self._children: dict[str, Child] = {}
        self._housekeeping: list[asyncio.Task[None]] = []
        [self._nats_monitor] = ports.free(1)
        self._nursery = f"postfleet-{secrets.token_hex(8)}" if forked.possible() else None

    async def start(self) -> None:
        """Servers first, side by side; then streams and durables; then the services."""
        if self._nursery:
            forked.adopt()
        self._housekeeping.append(asyncio.create_task(self._tidy_up()))
        await asyncio.gather(*(self._run(program) for program in self._servers()))
        _, _, ca_file = await asyncio.gather(
            self._apply_bus(), self._database_answers(), self._sandbox_ca_file()
        )
        if "nats" in self._children:
            self._housekeeping.append(asyncio.create_task(self._apply_bus_again()))
            self._housekeeping.append(asyncio.create_task(self._watch_nats()))
        services = plan.services(
            self._options,
            self.data,
            self.where,
            self.keys,
            ca_file,
            self._environ,
            self._nursery,
        )
        await asyncio.gather(*(self._run(program) for program in services))

    async def until_ready(self) -> None:
        """Wait until all services are ready, saying who is not every 20 s.

        Raises Refused as soon as one has refused its settings: it would each time.
        """
        remind_at = time.monotonic() + _REMIND_EVERY_S
        import httpx

        async with httpx.AsyncClient(base_url=self.where.url, timeout=5) as client:
            while missing := await _unready(client):
                self._check_settings()
                if time.monotonic() > remind_at:
                    self._say(
                        f"waiting for {', '.join(missing)}; their logs are in {self.data.logs}"
                    )
                    remind_at = time.monotonic() + _REMIND_EVERY_S
                await asyncio.sleep(_POLL_S)

    async def drain(self) -> None:
        """Gateway and services finish what they do; then sandbox, database and NATS end."""
        for task in self._housekeeping:
            task.cancel()
        servers = [
            self._children.pop(n)
            for n in ("nursery", "sandbox", "database", "nats")
            if n in self._children
        ]
        await self._stop(list(self._children.values()), _DRAIN_S)
        for server in servers:
            await self._stop([server], _SERVERS_END_S)
        if self._nursery:
            forked.bury_adopted(())

    def kill(self) -> None:
        """End everything at once; the ledger is made for that."""
        for child in self._children.values():
            child.kill()

    def pid_of(self, name: str) -> int | None:
        """The pid of a running child."""
        return self._children[name].pid

    def _servers(self) -> list[Program]:
        programs = [plan.gateway(self.where, self._environ, self._nursery)]
        if self._nursery:
            programs.insert(0, plan.nursery(self._nursery, self._environ))
        if port := self.where.embedded_nats_port:
            programs.append(plan.nats(self.data, port, self._environ, self._nats_monitor))
        if port := self.where.embedded_mongo_port:
            programs.append(plan.database(self.data, port, self._environ))
        if self._options.with_sandbox:
            programs.append(plan.sandbox(self.data, self._environ))
        return programs

    async def _run(self, program: Program) -> None:
        child = Child(program, self.data.logs, self._say)
        self._children[program.name] = child
        await child.start()

    async def _apply_bus(self) -> None:
        environ = {} if self.where.embedded_nats_port else self._environ
        try:
            async with bus_apply.connection(
                environ, patience_s=_SERVER_PATIENCE_S, url=self.where.nats_url
            ) as client:
                await bus_apply.apply(client)
        except Refused as refusal:
            raise self._explained(refusal, "nats") from refusal

    async def _apply_bus_again(self) -> None:
        """A NATS that has died may have lost its store: streams and durables are made again."""
        nats = self._children["nats"]
        applied = nats.pid
        while True:
            await asyncio.sleep(1)
            if nats.pid in (None, applied):
                continue
            starting = nats.pid
            try:
                await self._apply_bus()
                applied = starting
            except Refused as refusal:
                self._say(f"streams are not made again yet: {refusal.lines[0]}")

    async def _watch_nats(self) -> None:
        """Start NATS again when a stream is frozen: after a full disk it does not go on by itself."""
        import httpx

        nats, bad = self._children["nats"], 0
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            while True:
                await asyncio.sleep(_HEALTH_EVERY_S)
                try:
                    answer = await client.get(f"http://{ports.HOST}:{self._nats_monitor}/healthz")
                except httpx.HTTPError:
                    continue  # it is being started, or does not answer: its own end is noticed
                bad = bad + 1 if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else 0
                if bad >= _UNHEALTHY_LOOKS:
                    self._say(f"nats is not healthy: {answer.text[:300]}")
                    nats.interrupt()
                    bad = 0

    async def _database_answers(self) -> None:
        port = self.where.embedded_mongo_port
        try:
            async with asyncio.timeout(_SERVER_PATIENCE_S):
                await (_listens(port) if port else _is_reached(self.where.mongodb_url))
        except TimeoutError:
            refusal = Refused(
                ExitCode.UNAVAILABLE, "the database does not answer; MONGODB_URL says where it is"
            )
            raise self._explained(refusal, "database") from None

    async def _sandbox_ca_file(self) -> str | None:
        """Wait until this run's sandbox has said where it listens."""
        sandbox = self._children.get("sandbox")
        if sandbox is None:
            return None
        deadline = time.monotonic() + _SERVER_PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                said = json.loads((self.data.sandbox / "sandbox.json").read_text())
                if said["pid"] == sandbox.pid:
                    return str(said["ca_file"])
            await asyncio.sleep(_POLL_S)
        refusal = Refused(ExitCode.UNAVAILABLE, "the sandbox does not start")
        raise self._explained(refusal, "sandbox")

    def _check_settings(self) -> None:
        for child in self._children.values():
            if child.misconfigured:
                refusal = Refused(ExitCode.CONFIG, f"{child.name} cannot start with its settings")
                raise self._explained(refusal, child.name)

    def _explained(self, refusal: Refused, name: str) -> Refused:
        child = self._children.get(name)
        if child is None:
            return refusal
        return Refused(refusal.code, *refusal.lines, f"from {child.log}:", *child.last_lines())

    async def _stop(self, children: Sequence[Child], grace_s: float) -> None:
        stopped = await asyncio.gather(*(child.stop(grace_s) for child in children))
        for child, in_time in zip(children, stopped, strict=True):
            if not in_time:
                self._say(f"{child.name} did not end within {grace_s:.0f} s and was killed")

    async def _tidy_up(self) -> None:
        while True:
            await asyncio.sleep(5)
            for child in self._children.values():
                child.cap_log()
            if self._nursery:
                forked.bury_adopted({child.pid for child in self._children.values() if child.pid})


async def _unready(client: "httpx.AsyncClient") -> list[str]:
    """Who is not ready; the gateway itself, while it does not answer."""
    import httpx

    try:
        response = await client.get("/readyz")
        if response.status_code == httpx.codes.OK:
            return []
        services = response.json()["services"]
    except (httpx.HTTPError, ValueError, KeyError):
        return ["gateway"]
    return [name for name, state in services.items() if not state["ready"]]


async def _listens(port: int) -> None:
    """Returns when somebody accepts connections there."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(ports.HOST, port)
            writer.close()
            return
        await asyncio.sleep(_SERVER_POLL_S)


async def _is_reached(mongodb_url: str) -> None:
    from postfleet.mongo import Mongo  # takes a while to import: the servers start meanwhile

    mongo = Mongo(mongodb_url, "postfleet-up")
    try:
        await mongo.connect()
    finally:
        await mongo.close()
