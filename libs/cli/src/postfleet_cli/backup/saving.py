"""Reads everything in the order that keeps it whole, whatever happens meanwhile.

1. How far each durable has acknowledged, and the hits that nobody has judged yet: what is heard after
   this moment is heard again after a restore, and every consumer applies an event once.
2. The databases, causes before what followed from them (`databases.py`).
3. The streams of events: none of the databases has then read further than its stream goes.

Jobs are not saved: the ledger makes them again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from rich.console import Console
from rich.progress import Progress

from postfleet.topology import DEAD_LETTERS, DURABLES, EVENT_STREAM
from postfleet_cli.backup import databases, stream_snapshots
from postfleet_cli.backup.manifest import Manifest, digest
from postfleet_cli.backup.servers import Servers
from postfleet_cli.exits import ExitCode, Refused

HITS = "HITS"


@dataclass(frozen=True, slots=True)
class Save:
    """`key_ids` tell at a restore which MASTER_KEY it takes."""

    folder: Path
    servers: Servers
    prefix: str
    key_ids: tuple[str, ...]


async def save_into(save: Save) -> Manifest:
    """Write the backup; the manifest comes last."""
    streams = save.folder / "streams"
    streams.mkdir()
    nats = save.servers.nats
    heard = await _heard(nats)
    messages = {HITS: await _stream(nats, HITS, streams)}
    collections = await _databases(save)
    for name in (EVENT_STREAM.name, DEAD_LETTERS.name):
        messages[name] = await _stream(nats, name, streams)
    manifest = Manifest(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("postfleet-cli"),
        live=save.servers.live,
        master_key_ids=save.key_ids,
        collections=collections,
        streams=messages,
        heard=heard,
    )
    files = sorted(file for file in save.folder.rglob("*") if file.is_file())
    sums = {str(file.relative_to(save.folder)): digest(file) for file in files}
    manifest = replace(manifest, sha256=sums)
    manifest.write(save.folder)
    return manifest


async def _heard(nats: Client) -> dict[str, int]:
    """Durable of events -> the last sequence of which all before are acknowledged."""
    heard = {}
    for durable in DURABLES:
        if durable.stream != EVENT_STREAM.name:
            continue
        try:
            info = await nats.jetstream(timeout=10).consumer_info(durable.stream, durable.name)
        except NotFoundError:
            continue
        except (TimeoutError, NatsError) as error:
            raise Refused(ExitCode.UNAVAILABLE, f"NATS does not tell of {durable.name}") from error
        heard[durable.name] = info.ack_floor.stream_seq if info.ack_floor else 0
    return heard


async def _stream(nats: Client, name: str, folder: Path) -> int:
    if not await stream_snapshots.exists(nats, name):
        return 0
    return await stream_snapshots.save(nats, name, folder)


async def _databases(save: Save) -> dict[str, int]:
    counts = {}
    with shown() as progress:
        for database in databases.names(save.prefix):
            folder = save.folder / "databases" / database.removeprefix(save.prefix)
            folder.mkdir(parents=True)
            for name in await databases.collections(save.servers.mongo, database):
                step = _step(progress, f"{database}.{name}")
                file = folder / f"{name}.bson.gz"
                found = await databases.dump(save.servers.mongo[database][name], file, step)
                counts[f"{folder.name}/{name}"] = found
    return counts


def shown() -> Progress:
    """A progress bar on a terminal, nothing elsewhere; never on standard output."""
    return Progress(console=Console(stderr=True), transient=True)


def _step(progress: Progress, what: str, total: int | None = None) -> Callable[[int], None]:
    task = progress.add_task(what, total=total)
    return lambda done: progress.advance(task, done)
