"""Fills empty servers from a backup: streams under their old numbers, databases, then the durables."""

from dataclasses import dataclass
from pathlib import Path

from nats.errors import Error as NatsError
from pymongo.errors import PyMongoError

from postfleet.mongo import database_name
from postfleet.topology import EVENT_STREAM, STREAMS
from postfleet_cli import bus_apply
from postfleet_cli.backup import databases, stream_snapshots
from postfleet_cli.backup.manifest import Manifest
from postfleet_cli.backup.saving import shown
from postfleet_cli.backup.servers import Servers
from postfleet_cli.exits import ExitCode, Refused


@dataclass(frozen=True, slots=True)
class Restore:
    """`hold`: mails may have left that this backup does not know of."""

    folder: Path
    manifest: Manifest
    servers: Servers
    prefix: str
    hold: bool


async def restore_into(restore: Restore) -> None:
    """Raises Refused before anything is written if something is there already."""
    await _refuse_what_is_there(restore)
    nats = restore.servers.nats
    try:
        for stream in STREAMS:
            await _forget_empty(restore, stream.name)
            if restore.manifest.streams.get(stream.name):
                await stream_snapshots.load(nats, stream.name, restore.folder / "streams")
        if restore.hold:
            await _ask_to_hold(restore)
        await _load_databases(restore)
        await bus_apply.apply(nats)
        for durable, sequence in restore.manifest.heard.items():
            await _go_on_behind(restore, durable, sequence)
    except PyMongoError as error:
        raise Refused(
            ExitCode.UNAVAILABLE,
            f"the database stopped answering: {type(error).__name__}. What is there is not whole: "
            "empty it and restore again",
        ) from error


async def _refuse_what_is_there(restore: Restore) -> None:
    names = databases.names(restore.prefix)
    there = await databases.occupied(restore.servers.mongo, names)
    for stream in STREAMS:
        if await stream_snapshots.exists(restore.servers.nats, stream.name):
            there.append(f"stream {stream.name}")
    if there:
        raise Refused(
            ExitCode.REFUSED,
            f"not empty: {', '.join(there[:8])}. Restore into new servers, or drop these first; "
            "nothing was changed",
        )


async def _forget_empty(restore: Restore, stream: str) -> None:
    """`bus apply` may have made it; a snapshot makes it anew."""
    try:
        await restore.servers.nats.jetstream(timeout=10).delete_stream(stream)
    except NatsError:
        return  # there is none


async def _ask_to_hold(restore: Restore) -> None:
    """What the dispatcher finds at its start: written first, so that it is there if we end early."""
    dispatcher = restore.servers.mongo[database_name("dispatcher", restore.prefix)]
    note = {"_id": "hold", "state": "asked", "backup_at": restore.manifest.created_at}
    await dispatcher["restored"].insert_one(note)


async def _load_databases(restore: Restore) -> None:
    counts = restore.manifest.collections
    with shown() as progress:
        task = progress.add_task("documents", total=sum(counts.values()))
        for place, expected in counts.items():
            database, _, name = place.partition("/")
            collection = restore.servers.mongo[restore.prefix + database][name]
            file = restore.folder / "databases" / database / f"{name}.bson.gz"
            found = await databases.load(collection, file, lambda n: progress.advance(task, n))
            if found != expected:
                raise Refused(ExitCode.CONFIG, f"{file} has {found} documents, not {expected}")


async def _go_on_behind(restore: Restore, durable: str, sequence: int) -> None:
    """What was heard after the databases were read is heard again."""
    jetstream = restore.servers.nats.jetstream(timeout=20)
    try:
        first = (await jetstream.stream_info(EVENT_STREAM.name)).state.first_seq
        await jetstream.reset_consumer(EVENT_STREAM.name, durable, seq=max(first, sequence + 1, 1))
    except (TimeoutError, NatsError) as error:
        raise Refused(
            ExitCode.UNAVAILABLE, f"NATS did not set {durable} to {sequence + 1}: {error}"
        ) from error
