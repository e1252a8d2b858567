"""The hot path without its ledger: jobs of 50 leads from JetStream, filled templates, SMTP, acks.

Argv has a `Job` with the address of NATS in `username`, and "tracked" or "" in `password`.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import uvloop
from nats.aio.msg import Msg

from dispatcher.domain.message import CompiledMessage, Letter, for_transfer
from dispatcher.transport import (
    Connection,
    Envelope,
    Mail,
    Result,
    ResumingContext,
    Timeouts,
    connect,
)
from postfleet.bus import Bus
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.garbage import collect_seldom
from postfleet.pull import PullLimits
from postfleet.smtp import SmtpReply
from tests.bench.compose import AUTHOR, compiled
from tests.bench.mails import HTML, TEXT
from tests.bench.peers.stopwatch import Stopwatch, read_job

_AHEAD = 2_000  # leads: jobs are not taken from the queue long before their turn
_DATE = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(slots=True)
class _Chunk:
    """One job: acked when every lead of it is settled."""

    message: Msg
    left: int


class _Jobs:
    """A `Source` that fills a lead's mail in when a connection can take it."""

    def __init__(self, message: CompiledMessage, reverse_path: str, count: int) -> None:
        self._compiled, self._reverse_path, self._count = message, reverse_path, count
        self._leads: deque[tuple[_Chunk, dict[str, str]]] = deque()
        self._acks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self.connections: list[Connection] = []
        self.settled = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def on_jobs(self, messages: list[Msg]) -> None:
        for message in messages:
            leads = orjson.loads(message.data)["leads"]
            chunk = _Chunk(message, len(leads))
            self._leads.extend((chunk, lead) for lead in leads)
        for connection in self.connections:
            connection.kick()
        if len(self._leads) > _AHEAD:
            self._room.clear()
            await self._room.wait()

    def take(self, connection: Connection) -> Mail | None:
        if len(self._leads) <= _AHEAD // 2:
            self._room.set()
            if not self._leads:
                return None
        chunk, lead = self._leads.popleft()
        letter = Letter(
            lead["id"], f"<{lead['id']}@sender.test>", AUTHOR, lead["email"], _DATE, lead
        )
        content = for_transfer(self._compiled.fill(letter))
        return Mail(Envelope(self._reverse_path, lead["email"]), content, ours=True, tag=chunk)

    def settle(self, mail: Mail, result: Result) -> None:
        if not isinstance(result, SmtpReply):
            self.fail(RuntimeError(f"{mail.envelope}: {result!r}"))
            return
        chunk: _Chunk = mail.tag
        chunk.left -= 1
        self.settled += 1
        if not chunk.left:
            task = asyncio.create_task(chunk.message.ack())
            self._acks.add(task)
            task.add_done_callback(self._acked)

    def _acked(self, task: "asyncio.Task[None]") -> None:
        self._acks.discard(task)
        if self.settled == self._count and not self._acks and not self.over.done():
            self.over.set_result(None)

    def give_back(self, mail: Mail) -> None:
        self.fail(RuntimeError(f"{mail.envelope} came back"))

    def ended(self, connection: Connection) -> None:
        self.fail(RuntimeError("a connection ended before all was sent"))

    def fail(self, error: Exception) -> None:
        if not self.over.done():
            self.over.set_exception(error)


async def _open(port: int, context: ssl.SSLContext) -> Connection:
    server = MailServer(host="127.0.0.1", port=port, security=SmtpSecurity.NONE, username="")
    hello = "bench.test"
    return await connect(server, "", tls_context=context, local_hostname=hello, timeouts=Timeouts())


async def main() -> None:
    job: dict[str, Any] = read_job()
    jobs = _Jobs(
        compiled(TEXT, HTML, tracked=job["password"] == "tracked"),
        job["reverse_path"],
        job["count"],
    )
    bus = Bus(job["username"], "dispatcher")
    bus.consume_messages("dispatcher-jobs", jobs.on_jobs, PullLimits(prefetch=100, batch=20))
    await bus.connect()
    context = ResumingContext.like(None)  # one for all connections, as in the dispatcher
    collect_seldom()  # as the dispatcher does
    watch = Stopwatch()
    opening = [_open(job["port"], context) for _ in range(job["connections"])]
    jobs.connections = list(await asyncio.gather(*opening))
    for connection in jobs.connections:
        connection.serve(jobs)
    await bus.start()
    await jobs.over
    await bus.client.flush()
    watch.tell(jobs.settled)
    await asyncio.gather(*(connection.quit() for connection in jobs.connections))
    await bus.stop()


uvloop.run(main())
