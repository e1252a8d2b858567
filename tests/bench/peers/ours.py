"""Our transport alone: ready mails over kept connections, each claimed as the dispatcher claims it."""

import asyncio
import ssl
from typing import Any

import uvloop

from dispatcher.domain.message import dot_stuffed
from dispatcher.transport import Connection, Envelope, Timeouts, connect
from postfleet.events import MailServer, SmtpSecurity
from tests.bench.peers.stopwatch import Stopwatch, read_content, read_job


async def _ours() -> bool:
    return True


def _server(job: dict[str, Any]) -> MailServer:
    security = SmtpSecurity.STARTTLS if job["ca_file"] else SmtpSecurity.NONE
    return MailServer(
        host="localhost", port=job["port"], security=security, username=job["username"]
    )


async def _open(job: dict[str, Any], context: ssl.SSLContext) -> Connection:
    return await connect(
        _server(job),
        job["password"],
        tls_context=context,
        local_hostname="bench.test",
        timeouts=Timeouts(),
    )


async def main() -> None:
    job = read_job()
    content = dot_stuffed(read_content(job))
    context = ssl.create_default_context(cafile=job["ca_file"] or None)
    numbers = iter(range(job["count"]))

    async def lane() -> None:
        connection = await _open(job, context)
        for number in numbers:
            recipient = job["recipient"].replace("*", str(number))
            await connection.send(Envelope(job["reverse_path"], recipient), content, _ours)
        await connection.quit()

    watch = Stopwatch()
    await asyncio.gather(*(lane() for _ in range(job["connections"])))
    watch.tell(job["count"])


uvloop.run(main())
