"""SMTP in: mails taken durably, beside a bare aiosmtpd handler that forgets them.

The client is Postfix's smtp-source; both servers run on uvloop in a process of their own.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from typing import Any

import uvloop
from aiosmtpd.smtp import SMTP

from dispatcher.mail_intake import MailIntake, MailTimes
from dispatcher.relay_access import RelayAccess
from dispatcher.relay_server import Ports, RelayLimits, RelayServer
from dispatcher.store.messages import Messages
from dispatcher.store.senders import Senders
from postfleet.events.senders import MailServer, SenderSnapshot, SenderStatus, SmtpSecurity
from postfleet.instants import now_ms
from postfleet.mongo import Mongo
from tests.bench.figures import Figure, figure
from tests.support.mongo import MongoServer
from tests.support.ports import free_ports

_SENDER = "net@fleet.test"
_CONNECTIONS, _BYTES = "10", "2048"
_PEER = "a bare aiosmtpd handler"


def results(quick: bool) -> list[Figure]:
    rounds, mails = (2, 500) if quick else (5, 1000)
    figures = []
    with MongoServer() as mongo, tempfile.TemporaryDirectory() as folder:
        for name, kept in (("a connection a mail", ()), ("kept connections", ("-d",))):
            ours, theirs = [], []
            for number in range(rounds):
                theirs.append(_rate(["bare"], mails, kept))
                durable = ["durable", mongo.url, f"relay{number}{len(kept)}_", folder]
                ours.append(_rate(durable, mails, kept))
            figures.append(
                figure(
                    f"SMTP in, durable, {name}",
                    ours,
                    "mails/s",
                    peer=theirs,
                    against=_PEER,
                    goal=">= 0.5 x",
                )
            )
    return figures


def _rate(server: list[str], mails: int, options: tuple[str, ...]) -> float:
    """Mails a second into a server of its own; fails if one was not accepted."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "tests.bench.relay", str(port), *server]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "listening"
        try:
            _source(port, 50, options)  # warm
            started = time.perf_counter()
            _source(port, mails, options)
            return mails / (time.perf_counter() - started)
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=30)
            if "durable" in server:
                assert said.strip() == f"stored {mails + 50}", said


def _source(port: int, mails: int, options: tuple[str, ...]) -> None:
    argv = [
        *("smtp-source", *options, "-s", _CONNECTIONS, "-l", _BYTES, "-m", str(mails)),
        *("-f", _SENDER, "-t", "somebody@people.test", f"127.0.0.1:{port}"),
    ]
    subprocess.run(argv, check=True, capture_output=True, timeout=300)


# -- the servers -------------------------------------------------------------------------------------


class _Forgets:
    async def handle_DATA(self, *_: Any) -> str:
        return "250 OK"


async def _bare(port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: SMTP(_Forgets(), hostname="bench"), "127.0.0.1", port)


async def _durable(port: int, url: str, prefix: str, _: str) -> Messages:
    mongo = Mongo(url, "dispatcher", prefix)
    messages = Messages(mongo.database.messages)
    await messages.ensure_indexes()
    senders = Senders(mongo.database.senders)
    await senders.apply(_sender())

    async def ask(_: str, question: dict[str, Any]) -> dict[str, Any]:
        return {"sender_id": "net", "email_address": question["address"]}

    intake = MailIntake(messages, lambda: None, MailTimes(3_600_000, 0))
    limits = RelayLimits(
        hostname="bench",
        max_bytes=10_000_000,
        max_recipients=1000,
        max_connections=500,
        max_connections_per_ip=50,
        idle_seconds=60,
        mail_seconds=60,
        buffer_bytes=100_000_000,
        deduplicate=True,
    )
    access = RelayAccess(ask, senders)
    server = RelayServer(Ports("127.0.0.1", 0, port), limits, access, intake, None, b"key")
    await server.start()
    return messages


def _sender() -> SenderSnapshot:
    return SenderSnapshot(
        sender_id="net",
        revision=1,
        email_address=_SENDER,
        domain="fleet.test",
        status=SenderStatus.READY,
        health=100,
        daily_limit=1_000_000,
        effective_limit=1_000_000,
        access_methods=("smtp",),
        smtp=MailServer(host="h", port=587, security=SmtpSecurity.STARTTLS, username="u"),
    )


async def _serve(port: int, kind: str, *more: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(15, stop.set)
    messages = await _durable(port, *more) if kind == "durable" else await _bare(port)
    print("listening", flush=True)
    await stop.wait()
    if messages is not None:
        stored = sum(len(pack.mails) for pack in await messages.due(now_ms(), 1_000_000))
        print(f"stored {stored}", flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), *sys.argv[2:]))
