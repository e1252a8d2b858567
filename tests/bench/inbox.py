"""The inbox watcher: understanding a mail, and holding many mailboxes in one process."""

import asyncio
import gc
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from inbox_watcher.domain.understand import understand
from inbox_watcher.imap import ImapConnection
from inbox_watcher.imap_protocol import ImapLimits
from inbox_watcher.imap_session import Server
from inbox_watcher.mailbox_names import INBOX
from postfleet.smtp_reply import judge
from tests.bench.figures import Figure, figure
from tests.support.certificates import write_certificates

_DATA = Path(__file__).parents[1] / "data"
_SIZE = 20_000  # bytes of a mail
_PROSE = (
    b"We have looked at what you sent us, and there are two things that we would like to know\n"
    b"before we decide: how long it takes from the order to the delivery, and who answers the\n"
    b"telephone when something does not work. The rest is clear.\n\n"
)


def results(quick: bool) -> list[Figure]:
    rounds = 3 if quick else 7
    mails = _mails()
    p50, p99 = zip(*(_understanding(mails) for _ in range(rounds)), strict=True)
    lines = (_DATA / "smtp_replies" / "replies.tsv").read_text().splitlines()
    replies = [line.split("\t")[2] for line in lines if line[:1] != "#"]
    judging = [_judging(replies) for _ in range(rounds)]
    count = 200 if quick else 1000
    held = [_holding(count) for _ in range(1 if quick else 3)]
    return [
        figure("inbox: understand a mail of 20 KB, p50", p50, "ms", goal="< 2"),
        figure("inbox: understand a mail of 20 KB, p99", p99, "ms", goal="< 20"),
        figure("inbox: judge an SMTP reply", judging, "µs"),
        figure("inbox: judge an SMTP reply, p99", [_judging_p99(replies)], "µs", goal="< 1000"),
        figure("inbox: an idle mailbox", [kib for kib, _ in held], "KiB", goal="< 150"),
        figure("inbox: a core for idle mailboxes", [core for _, core in held], "%", goal="< 2"),
    ]


def _mails() -> list[bytes]:
    """The corpus, each mail filled up to 20 KB with prose."""
    found = []
    for file in sorted((_DATA / "inbound").glob("*.eml")):
        raw = file.read_bytes()
        found.append((raw + _PROSE * (_SIZE // len(_PROSE)))[:_SIZE])
    return found


def _understanding(mails: Sequence[bytes]) -> tuple[float, float]:
    taken = []
    for raw in mails:
        began = time.thread_time()
        understand(raw)
        taken.append((time.thread_time() - began) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def _judging(replies: Sequence[str]) -> float:
    began = time.thread_time()
    for reply in replies:
        judge("", reply)
    return (time.thread_time() - began) * 1_000_000 / len(replies)


def _judging_p99(replies: Sequence[str]) -> float:
    taken = []
    for reply in replies:
        began = time.thread_time()
        judge("", reply)
        taken.append((time.thread_time() - began) * 1_000_000)
    return statistics.quantiles(taken, n=100)[98]


def _holding(count: int) -> tuple[float, float]:
    """KiB of our end of a mailbox's TLS connection, on uvloop, and % of a core for all of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_certificates(folder, ["127.0.0.1"])
        command = [sys.executable, "-m", "tests.bench.imap_server", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                port = int(server.stdout.readline())
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    return runner.run(_hold(port, folder, count))
            finally:
                server.terminate()


async def _hold(port: int, folder: Path, count: int) -> tuple[float, float]:
    server = Server("127.0.0.1", port, ssl.create_default_context(cafile=folder / "ca.pem"))
    warm = await _idling(server)  # what the first connection loads is not counted
    gc.collect()
    before = _resident_kib()
    idle = [warm, *[await _idling(server) for _ in range(count)]]
    gc.collect()
    after = _resident_kib()
    began, used = time.monotonic(), time.process_time()
    await asyncio.sleep(3)
    core = (time.process_time() - used) / (time.monotonic() - began) * 100
    for connection, waiting in idle:
        waiting.cancel()
        connection.close()
    return (after - before) / count, core


async def _idling(server: Server) -> tuple[ImapConnection, "asyncio.Task[bool]"]:
    connection = await ImapConnection.connect(server, ImapLimits())
    await connection.login("user", "secret")
    await connection.examine(INBOX)
    return connection, asyncio.create_task(connection.wait_for_news(600))


def _resident_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
