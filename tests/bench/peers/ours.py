"""Our transport alone: ready mails over kept connections, pipelined as far as the server allows."""

import asyncio
import ssl
from typing import Any

import uvloop

from dispatcher.domain.message import dot_stuffed
from dispatcher.transport import Connection, Envelope, Mail, Result, Timeouts, connect
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.garbage import collect_seldom
from postfleet.smtp import SmtpReply
from tests.bench.peers.stopwatch import Stopwatch, read_content, read_job


class _Mails:
    """A `Source` for all connections: the same content to one recipient after the other."""

    def __init__(self, job: dict[str, Any], content: bytes) -> None:
        self._head, _, self._tail = job["recipient"].partition("*")
        self._reverse_path, self._content = job["reverse_path"], content
        self._number, self._count, self.settled = 0, job["count"], 0
        self._again: list[Mail] = []
        self.all_settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, connection: Connection) -> Mail | None:
        if self._again:
            return self._again.pop()
        if self._number == self._count:
            return None
        recipient = f"{self._head}{self._number}{self._tail}"
        self._number += 1
        return Mail(Envelope(self._reverse_path, recipient), self._content, ours=True)

    def settle(self, mail: Mail, result: Result) -> None:
        if not isinstance(result, SmtpReply):
            self.fail(RuntimeError(f"{mail.envelope}: {result!r}"))
            return
        self.settled += 1
        if self.settled == self._count and not self.all_settled.done():
            self.all_settled.set_result(None)

    def give_back(self, mail: Mail) -> None:
        self._again.append(mail)

    def ended(self, connection: Connection) -> None:
        self.fail(RuntimeError("a connection ended before all was sent"))

    def fail(self, error: Exception) -> None:
        if not self.all_settled.done():
            self.all_settled.set_exception(error)


def _server(job: dict[str, Any]) -> MailServer:
    security = SmtpSecurity.STARTTLS if job["ca_file"] else SmtpSecurity.NONE
    return MailServer(
        host="localhost", port=job["port"], security=security, username=job["username"]
    )


async def main() -> None:
    job = read_job()
    content = dot_stuffed(read_content(job))
    context = ssl.create_default_context(cafile=job["ca_file"] or None)
    collect_seldom()  # as the dispatcher does
    watch = Stopwatch()
    mails = _Mails(job, content)

    async def open_one() -> Connection:
        connection = await connect(
            _server(job),
            job["password"],
            tls_context=context,
            local_hostname="bench.test",
            timeouts=Timeouts(),
        )
        connection.serve(mails)
        return connection

    connections = await asyncio.gather(*(open_one() for _ in range(job["connections"])))
    await mails.all_settled
    await asyncio.gather(*(connection.quit() for connection in connections))
    watch.tell(mails.settled)


uvloop.run(main())
