"""`postfleet backup DIR` and `postfleet restore DIR`."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from postfleet.secrets import BadMasterKey, KeyRing
from postfleet_cli.backup.manifest import Manifest
from postfleet_cli.backup.restoring import Restore, restore_into
from postfleet_cli.backup.saving import Save, save_into
from postfleet_cli.backup.servers import servers
from postfleet_cli.datadir import DataDir
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_json

Data = Annotated[Path, typer.Option(metavar="DATA", help="The data directory of `postfleet up`.")]
MongoPort = Annotated[
    int, typer.Option(help="Of a running `postfleet up` with its embedded database.")
]


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New, or empty.")],
    data: Data = Path(".postfleet"),
    mongo_port: MongoPort = 27017,
    with_keys: Annotated[
        bool,
        typer.Option(
            "--with-keys",
            help="Put MASTER_KEY and the API key beside it: whoever has DIR then has every password.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write everything the platform knows into DIR: its databases and its event streams.

    The platform may run meanwhile. NATS_URL and MONGODB_URL name external servers; otherwise it is
    what `postfleet up` keeps in DATA. The credentials in it stay sealed; MASTER_KEY is not in it
    unless you ask: keep that apart, for without it no password opens again.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Refused(ExitCode.CANNOT_CREATE, f"{folder} is not empty: name a new directory")
    directory = DataDir(data)
    keys = _keys(directory, os.environ)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        manifest = asyncio.run(
            _save(folder, directory, os.environ, mongo_port, keys.get("master-key"))
        )
        for name, value in keys.items() if with_keys else ():
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(value + "\n")
    except OSError as error:
        raise Refused(
            ExitCode.CANNOT_CREATE, f"cannot write to {folder}: {error.strerror}"
        ) from error
    _tell("backed up", manifest, folder, as_json)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `postfleet backup` wrote.")],
    data: Data = Path(".postfleet"),
    mongo_port: MongoPort = 27017,
    as_it_was: Annotated[
        bool,
        typer.Option(
            "--as-it-was",
            help="Go on sending at once: nothing has been sent since the backup was made.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make an empty platform have what a backup holds. Refuses one that is not empty.

    Mails may have left after the backup was made, and it does not know of them. So that nobody gets
    one twice, campaigns come back paused, and mails that were about to go come back as `unknown`,
    which the Sent folders settle. Look, then resume the campaigns. `--as-it-was` is for a move: the
    old platform was stopped, then backed up.

    Needs the MASTER_KEY of the backup: in the environment, in DATA/master-key, or beside it.
    """
    manifest = Manifest.read(folder)
    directory = DataDir(data)
    external = os.environ.get("NATS_URL") and os.environ.get("MONGODB_URL")
    if not external and directory.has_data:
        raise Refused(
            ExitCode.REFUSED,
            f"{directory.path} has data already: choose a new one with --data DATA",
        )
    keys = _kept_beside(folder) | _keys(directory, os.environ)
    _check_keys(manifest, keys.get("master-key"))
    asyncio.run(_restore(folder, manifest, directory, os.environ, mongo_port, hold=not as_it_was))
    for name, value in keys.items() if not external else ():
        if not (directory.path / name).exists():
            (directory.path / name).touch(mode=0o600)
            (directory.path / name).write_text(value + "\n")
    _tell("restored", manifest, folder, as_json)


async def _save(
    folder: Path, data: DataDir, environ: Mapping[str, str], mongo_port: int, key: str | None
) -> Manifest:
    if not data.has_data and not (environ.get("NATS_URL") and environ.get("MONGODB_URL")):
        raise Refused(
            ExitCode.CONFIG,
            f"{data.path} has no data. --data DATA names another directory; NATS_URL and "
            "MONGODB_URL together name external servers",
        )
    ids = tuple(sorted(_key_ids(key))) if key else ()
    prefix = environ.get("POSTFLEET_DATABASE_PREFIX", "")
    async with servers(data, environ, mongo_port) as both:
        return await save_into(Save(folder, both, prefix, ids))


async def _restore(
    folder: Path,
    manifest: Manifest,
    data: DataDir,
    environ: Mapping[str, str],
    mongo_port: int,
    *,
    hold: bool,
) -> None:
    prefix = environ.get("POSTFLEET_DATABASE_PREFIX", "")
    async with servers(data, environ, mongo_port) as both:
        await restore_into(Restore(folder, manifest, both, prefix, hold))


def _keys(data: DataDir, environ: Mapping[str, str]) -> dict[str, str]:
    """File name -> key: the environment's, else those of the data directory."""
    found = _kept_beside(data.path)
    for name, variable in (("master-key", "MASTER_KEY"), ("api-key", "POSTFLEET_API_KEY")):
        if value := environ.get(variable):
            found[name] = value
    return found


def _kept_beside(folder: Path) -> dict[str, str]:
    files = (folder / "master-key", folder / "api-key")
    return {file.name: file.read_text().strip() for file in files if file.is_file()}


def _key_ids(keys: str) -> set[str]:
    try:
        return set(KeyRing.parse(keys).keys)
    except BadMasterKey as error:
        raise Refused(ExitCode.CONFIG, f"MASTER_KEY: {error}") from None


def _check_keys(manifest: Manifest, keys: str | None) -> None:
    wanted = set(manifest.master_key_ids)
    if wanted and not (keys and wanted <= _key_ids(keys)):
        raise Refused(
            ExitCode.CONFIG,
            "the passwords in this backup are sealed with another MASTER_KEY (id "
            f"{', '.join(sorted(wanted))}). Set MASTER_KEY to that one; nothing was restored",
        )


def _tell(what: str, manifest: Manifest, folder: Path, as_json: bool) -> None:
    counts: dict[str, Any] = {
        "documents": sum(manifest.collections.values()),
        "collections": len(manifest.collections),
        "messages": sum(manifest.streams.values()),
    }
    if as_json:
        print_json({"directory": str(folder), "created_at": manifest.created_at, **counts})
        return
    told = f"{counts['documents']} documents in {counts['collections']} collections, "
    told += f"{counts['messages']} messages of streams"
    console.print(f"{what}: {told} ({folder}, {manifest.created_at})", markup=False, soft_wrap=True)
