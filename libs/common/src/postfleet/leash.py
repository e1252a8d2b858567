"""A process that belongs to the service which started it, and how each of the two hears of the other.

The child reads a standard input on which nothing is ever written: when it closes, the child drains
and ends. On standard output it says every second how it is, a line of JSON each.
"""

import asyncio
import sys

import orjson
from prometheus_client import REGISTRY
from prometheus_client.exposition import generate_latest

#: The child says how it is this often, in seconds.
SAYS_EVERY = 1.0


async def standard_input() -> asyncio.StreamReader:
    """The child's end: `read()` returns when the parent lets go, or is gone."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


def state(running: bool) -> str:
    """The child's line: whether it works, and all its metrics."""
    said = {"running": running, "metrics": generate_latest(REGISTRY).decode()}
    return orjson.dumps(said).decode()


async def let_go(process: asyncio.subprocess.Process, drain_seconds: float) -> None:
    """Close the child's standard input, which tells it to end; kill it if it does not in time."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(drain_seconds):
            while process.stdout is not None and await process.stdout.read(65_536):
                pass
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
