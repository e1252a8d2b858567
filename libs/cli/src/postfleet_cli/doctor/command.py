"""`postfleet doctor`: all looks, a table or JSON, and an exit code."""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.table import Column, Table

from postfleet_cli import ports
from postfleet_cli.api import DEFAULT_URL
from postfleet_cli.datadir import DataDir
from postfleet_cli.doctor import bus, certificates, database, machine, services
from postfleet_cli.doctor.findings import Finding, State
from postfleet_cli.exits import ExitCode
from postfleet_cli.output import AsJson, console, print_json

_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.TROUBLE: "red", State.SKIPPED: "dim"}


def doctor(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="The data directory of `postfleet up`.")
    ] = Path(".postfleet"),
    smtp_port: Annotated[int, typer.Option(help="SMTP in, as `postfleet up` was told.")] = 2587,
    nats_port: Annotated[int, typer.Option(help="Embedded NATS; unused with NATS_URL.")] = 4222,
    mongo_port: Annotated[
        int, typer.Option(help="Embedded database; unused with MONGODB_URL.")
    ] = 27017,
    as_json: AsJson = False,
) -> None:
    """Look at everything the platform needs: what is wrong, and what to do about it.

    Keys, clock, disk, ports, names, certificates; NATS with its streams and durables; MongoDB with
    its indexes; every service. Nothing is changed. It looks at what NATS_URL, MONGODB_URL and
    POSTFLEET_URL name, else at the platform of `postfleet up` on this machine.

    Exit code 0: nothing is in trouble (there may be warnings). 1: something is.
    """
    looked = asyncio.run(
        examine(DataDir(data), os.environ, smtp_port=smtp_port, nats=nats_port, mongo=mongo_port)
    )
    sick = any(one.state is State.TROUBLE for one in looked)
    if as_json:
        print_json({"ok": not sick, "findings": [asdict(one) for one in looked]})
    else:
        _show(looked)
    raise typer.Exit(ExitCode.REFUSED if sick else ExitCode.OK)


async def examine(
    data: DataDir, environ: Mapping[str, str], *, smtp_port: int, nats: int, mongo: int
) -> list[Finding]:
    """All findings, in the order in which one would mend them."""
    nats_url = environ.get("NATS_URL") or f"nats://{ports.HOST}:{nats}"
    mongodb_url = environ.get("MONGODB_URL") or f"mongodb://{ports.HOST}:{mongo}/"
    embedded = not environ.get("MONGODB_URL")
    url = environ.get("POSTFLEET_URL") or DEFAULT_URL
    local = urlsplit(url).hostname in ("127.0.0.1", "localhost")
    running = not local or not ports.is_free(urlsplit(url).port or 80)
    prefix = environ.get("POSTFLEET_DATABASE_PREFIX", "")
    offsets: dict[str, float] = {}
    findings = [*machine.data_directory(data), *machine.keys(data, environ), machine.names()]
    findings += certificates.look(environ, datetime.now(UTC))
    findings += _ports(environ, url, smtp_port, nats, mongo, running=running)
    if running or environ.get("NATS_URL"):
        findings += await bus.look(environ, nats_url)
    if running or environ.get("MONGODB_URL"):
        found, ahead = await database.look(mongodb_url, prefix, embedded=embedded)
        findings += found
        offsets |= {"the database": ahead} if ahead is not None else {}
    key = environ.get("POSTFLEET_API_KEY") or _kept(data)
    found, ahead = services.look(url, key) if running else ([_not_running(url)], None)
    offsets |= {"the gateway": ahead} if ahead is not None else {}
    world = await asyncio.to_thread(machine.ntp_offset)
    offsets |= {"the world (NTP)": world} if world is not None else {}
    return [*findings, *found, machine.clock(offsets)]


def _ports(
    environ: Mapping[str, str], url: str, smtp: int, nats: int, mongo: int, *, running: bool
) -> list[Finding]:
    """Those that `postfleet up` uses on this machine."""
    if environ.get("POSTFLEET_URL") and environ.get("NATS_URL") and environ.get("MONGODB_URL"):
        return []
    wanted = [
        ("port of HTTP", urlsplit(url).port or 80, "--http-port"),
        ("port of SMTP", smtp, "--smtp-port"),
    ]
    wanted += [] if environ.get("NATS_URL") else [("port of NATS", nats, "--nats-port")]
    wanted += [] if environ.get("MONGODB_URL") else [("port of MongoDB", mongo, "--mongo-port")]
    return [machine.port(c, ports.HOST, n, option, running=running) for c, n, option in wanted]


def _not_running(url: str) -> Finding:
    return Finding(
        "services", State.SKIPPED, f"nothing runs at {url}: start it with `postfleet up`"
    )


def _kept(data: DataDir) -> str:
    try:
        return data.api_key.read_text().strip()
    except OSError:
        return ""


def _show(looked: list[Finding]) -> None:
    table = Table(Column("check", no_wrap=True), "", "what was found", "what to do", box=None)
    for one in looked:
        state = f"[{_COLOURS[one.state]}]{one.state}[/]"
        table.add_row(
            one.check, state, *(text.replace("[", r"\[") for text in (one.detail, one.remedy))
        )
    console.print(table)
    count = Counter(one.state for one in looked)
    told = ", ".join(f"{count[state]} {state}" for state in State if count[state])
    console.print(f"\n{told}", markup=False)
