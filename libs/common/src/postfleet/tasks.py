"""Ending background tasks for certain."""

import asyncio
from datetime import timedelta

_CANCEL_AGAIN = timedelta(seconds=5)  # longer than a polite good-bye to a server takes


async def end(*tasks: asyncio.Task[None] | None, again: timedelta = _CANCEL_AGAIN) -> None:
    """Cancel the tasks and return when all have ended; what they raised is theirs.

    A library that waits by Python 3.11's `asyncio.wait_for` swallows a cancellation that arrives
    together with the result; a loop around it then goes on for ever. So it is said again.
    """
    running = {task for task in tasks if task is not None and not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=again.total_seconds())
