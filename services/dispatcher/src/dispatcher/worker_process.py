"""`python -m dispatcher.worker_process`: sends, in a process of its own, and nothing else.

It belongs to the process that started it and holds its standard input: when that closes, it drains
and ends. On standard output it says every second how it is, a line of JSON each.
"""

import asyncio
import logging
import signal
import sys

import orjson
import uvloop
from prometheus_client import REGISTRY
from prometheus_client.exposition import generate_latest

from dispatcher.parts import SERVICE, Parts
from dispatcher.settings import Settings
from postfleet import logs
from postfleet.settings import load
from postfleet.tasks import end

log = logging.getLogger(__name__)

_EVERY = 1.0


async def _work(settings: Settings) -> None:
    leash = await _standard_input()
    ended = asyncio.create_task(leash.read())
    parts = Parts(settings)
    started = asyncio.create_task(_start(parts))
    await asyncio.wait({started, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not started.done():  # not needed any more before it had found its servers
        await end(started)
        return
    tasks = [
        asyncio.create_task(loop)
        for loop in (parts.brakes.run(), parts.watch.run(), parts.exchangers.run())
    ]
    leases = asyncio.create_task(parts.worker.keep_leases())
    started.result()
    while not ended.done():
        print(_state(await parts.bus.ready()), flush=True)  # noqa: T201
        await asyncio.wait({ended}, timeout=_EVERY)
    await parts.sharing.stop_pulling()
    await parts.worker.drain()
    await parts.sharing.leave()
    await end(leases, *tasks)
    await parts.close()
    log.info("worker process drained")


async def _start(parts: Parts) -> None:
    await parts.connect()
    await parts.bus.start()
    parts.sharing.start()


def _state(running: bool) -> str:
    state = {"running": running, "metrics": generate_latest(REGISTRY).decode()}
    return orjson.dumps(state).decode()


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


def main() -> None:
    """Run until standard input is closed; a terminal's Ctrl-C reaches who holds it."""
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.SIG_IGN)
    settings = load(Settings)
    logs.configure(SERVICE, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings))


if __name__ == "__main__":
    main()
