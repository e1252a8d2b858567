"""`python -m tracker.consumer`: the consumers in a process of their own, so that no hit waits for them.

It belongs to the process that started it and holds its standard input: when that closes, it drains
and ends. On standard output it says every second how it is, a line of JSON each.
"""

import asyncio
import os
import signal

import uvloop

from postfleet import leash, logs, tracing
from postfleet.settings import load
from tracker.app import Tracker
from tracker.settings import SERVICE, Settings

_NICE = 10  # in a flood, who answers comes before who counts


async def _consume(settings: Settings) -> None:
    tracker = Tracker(settings, consumes=True)
    held = await leash.standard_input()
    async with tracker.lifespan():
        ended = asyncio.create_task(held.read())
        while not ended.done():
            print(leash.state(await tracker.running()), flush=True)  # noqa: T201
            await asyncio.wait({ended}, timeout=leash.SAYS_EVERY)


def main() -> None:
    """Run until standard input is closed; a terminal's Ctrl-C reaches who holds it."""
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.SIG_IGN)
    os.nice(_NICE)
    settings = load(Settings)
    logs.configure(SERVICE, settings.log_level)
    tracing.configure(SERVICE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_consume(settings))
    tracing.close()


if __name__ == "__main__":
    main()
