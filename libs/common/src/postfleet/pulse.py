"""What a service says of itself without being asked: that it is ready, and how late its loop is."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from postfleet import metrics
from postfleet.tasks import end

_BEAT = 0.25  # seconds
_BEATS = 40  # between two looks at the dependencies


@contextlib.asynccontextmanager
async def pulse(service: str, ready: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    """Keep `postfleet_ready` and the loop's lag current for as long as the block runs."""
    metrics.ready.labels(service).set(0)
    task = asyncio.create_task(_beat(service, ready), name="pulse")
    try:
        yield
    finally:
        await end(task)
        metrics.ready.labels(service).set(0)


async def _beat(service: str, ready: Callable[[], Awaitable[bool]]) -> None:
    while True:
        metrics.ready.labels(service).set(int(await ready()))
        worst = 0.0
        for _ in range(_BEATS):
            due = time.monotonic() + _BEAT
            await asyncio.sleep(_BEAT)
            worst = max(worst, time.monotonic() - due)
            metrics.loop_lag.labels(service).set(worst)
