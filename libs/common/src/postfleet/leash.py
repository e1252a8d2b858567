"""A process that belongs to the service which started it, and how each of the two hears of the other.

The child reads a standard input on which nothing is ever written: when it closes, the child drains
and ends. On standard output it says every second how it is, a line of JSON each.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

import orjson
from prometheus_client import REGISTRY
from prometheus_client.exposition import generate_latest

from postfleet.forked import Forked, NoNursery, Request, fork

#: The child says how it is this often, in seconds.
SAYS_EVERY = 1.0
_LINE_BYTES = 8 << 20
_NURSERY_S = 120.0


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


class Held:
    """The process as its parent holds it: `lines` are what it says."""

    def __init__(
        self, process: asyncio.subprocess.Process | Forked, leash: int, lines: asyncio.StreamReader
    ) -> None:
        self.lines, self._process, self._leash = lines, process, leash

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, and where only the nursery's parent knows."""
        return self._process.returncode

    async def let_go(self, drain_seconds: float) -> None:
        """Close its standard input, which tells it to end; kill it if it does not in time."""
        os.close(self._leash)
        try:
            async with asyncio.timeout(drain_seconds):
                while await self.lines.read(65_536):
                    pass
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def hold(module: str, env: Mapping[str, str]) -> Held:
    """Start `python -m module`: forked where POSTFLEET_NURSERY names a nursery, else anew."""
    theirs, leash = os.pipe()
    heard, says = os.pipe()
    try:
        process = await _forked(module, env, (theirs, says, 2)) or await _executed(
            module, env, theirs, says
        )
    finally:
        os.close(theirs)
        os.close(says)
    lines = asyncio.StreamReader(limit=_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(heard, "rb")
    )
    return Held(process, leash, lines)


async def _forked(module: str, env: Mapping[str, str], streams: Sequence[int]) -> Forked | None:
    nursery = os.environ.get("POSTFLEET_NURSERY")
    if not nursery:
        return None
    try:
        return await fork(Request(module, env, streams, dies_with_us=False), nursery, _NURSERY_S)
    except NoNursery:
        return None


async def _executed(
    module: str, env: Mapping[str, str], stdin: int, stdout: int
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module), stdin=stdin, stdout=stdout, env=dict(env)
    )
