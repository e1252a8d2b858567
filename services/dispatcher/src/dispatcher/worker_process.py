"""`python -m dispatcher.worker_process`: sends, in a process of its own, and nothing else.

It belongs to the process that started it and holds its standard input: when that closes, it drains
and ends. On standard output it says every second how it is, a line of JSON each.
"""

import asyncio
import logging
import signal

import uvloop

from dispatcher.parts import SERVICE, Parts
from dispatcher.settings import Settings
from postfleet import leash, logs
from postfleet.garbage import collect_seldom
from postfleet.settings import load
from postfleet.tasks import end

log = logging.getLogger(__name__)


async def _work(settings: Settings) -> None:
    held = await leash.standard_input()
    ended = asyncio.create_task(held.read())
    parts = Parts(settings)
    collect_seldom()  # a mail makes no cycles
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
        print(leash.state(await parts.bus.ready()), flush=True)  # noqa: T201
        await asyncio.wait({ended}, timeout=leash.SAYS_EVERY)
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
