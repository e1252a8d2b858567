"""The two servers that a backup is about: external ones, running ones of `postfleet up`, or its
files, for which both are started as long as it takes."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from pymongo.errors import PyMongoError

from postfleet.mongo import operators_client
from postfleet_cli import bus_apply, plan, ports
from postfleet_cli.child import Child, Program
from postfleet_cli.datadir import DataDir
from postfleet_cli.exits import ExitCode, Refused

_PATIENCE_S = 60.0
_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Servers:
    """Connections. `live`: services may be working on them meanwhile."""

    nats: Client
    mongo: Any
    live: bool


@asynccontextmanager
async def servers(
    data: DataDir, environ: Mapping[str, str], mongo_port: int
) -> AsyncIterator[Servers]:
    """Connect; start what the data directory holds if nobody runs it. Raises Refused."""
    nats_url, mongodb_url = environ.get("NATS_URL"), environ.get("MONGODB_URL")
    live = bool(nats_url or mongodb_url)
    async with AsyncExitStack() as stack:
        if not (nats_url and mongodb_url):
            running = _is_running(data)
            live = live or running
            if running:
                nats_url = nats_url or _address_in(data.path / "nats.conf")
                mongodb_url = mongodb_url or f"mongodb://{ports.HOST}:{mongo_port}/"
            else:
                stack.callback(data.close)
                started = await _start(stack, data, environ, bool(nats_url), bool(mongodb_url))
                nats_url, mongodb_url = nats_url or started[0], mongodb_url or started[1]
        where = environ if environ.get("NATS_URL") else {}
        client = await stack.enter_async_context(
            bus_apply.connection(where, patience_s=_PATIENCE_S, url=nats_url)
        )
        mongo = await _connected(mongodb_url or "")
        stack.callback(mongo.close)
        yield Servers(client, mongo, live)


def _is_running(data: DataDir) -> bool:
    """Takes the directory for itself if not."""
    try:
        data.open()
    except Refused as refusal:
        if refusal.code is ExitCode.UNAVAILABLE:
            return True
        raise
    return False


def _address_in(config: Path) -> str:
    found = re.search(r'^listen: ("[^"]+")', config.read_text(), re.MULTILINE)
    if found is None:
        raise Refused(ExitCode.CONFIG, f"{config} does not say where NATS listens: set NATS_URL")
    return f"nats://{json.loads(found[1])}"


async def _start(
    stack: AsyncExitStack, data: DataDir, environ: Mapping[str, str], nats: bool, mongo: bool
) -> tuple[str, str]:
    nats_port, mongo_port = ports.free(2)
    programs = [] if nats else [plan.nats(data, nats_port, environ)]
    programs += [] if mongo else [plan.database(data, mongo_port, environ)]
    for program in programs:
        await _run(stack, data, program)
    return f"nats://{ports.HOST}:{nats_port}", f"mongodb://{ports.HOST}:{mongo_port}/"


async def _run(stack: AsyncExitStack, data: DataDir, program: Program) -> None:
    child = Child(program, data.logs, lambda _: None)
    await child.start()
    stack.push_async_callback(child.stop, _END_S)


async def _connected(url: str) -> Any:
    client = operators_client(url)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            await client.admin.command("ping")
            return client
        except PyMongoError as error:
            if time.monotonic() > deadline:
                client.close()
                raise Refused(
                    ExitCode.UNAVAILABLE,
                    "the database does not answer; MONGODB_URL or --mongo-port says where it is",
                ) from error
            await asyncio.sleep(0.2)
