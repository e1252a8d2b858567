"""Mail provisioner: a change among 20,000 mailboxes, a new mailbox in use, a plan of 500 domains."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import uvicorn
from fastapi import FastAPI

from mail_provisioner.app import build
from mail_provisioner.domain.addresses import Address, Kind, State
from mail_provisioner.domain.domains import Domain, DomainState
from mail_provisioner.domain.records import DmarcPolicy
from mail_provisioner.domain.user_tables import MAILBOXES, USERS, mailbox_line, user_line
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.mail_files import TableFiles
from mail_provisioner.settings import SERVICE, Settings
from mail_provisioner.store import AddressStore
from mail_provisioner.volume import ConfigVolume
from postfleet import reconcile
from postfleet.http import API
from postfleet.mongo import Mongo
from postfleet_cli import fleet
from postfleet_cli.api import Api
from postfleet_cli.fleet_file import Domain as WantedDomain
from postfleet_cli.fleet_file import Fleet, Mailbox
from postfleet_cli.fleet_plan import plan
from tests.bench.figures import Figure, figure, skipped
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.provisioner import API_KEY, MASTER_KEY, Service, provisioner

MANY = 20_000
HASH = "{SHA512-CRYPT}$6$saltsaltsaltsalt$" + "x" * 86


def results(quick: bool) -> list[Figure]:
    rounds = 5 if quick else 15
    found = [
        figure(
            f"provisioner: one change written among {MANY} mailboxes",
            asyncio.run(_changes(rounds)),
            "ms",
            goal="< 100",
        )
    ]
    with NatsServer() as bus, MongoServer() as database:
        servers = {"nats_url": bus.url, "mongodb_url": database.url}
        seconds = asyncio.run(_plans(servers, 100 if quick else 500, 1 if quick else 3))
        count = 100 if quick else 500
        name = f"provisioner: fleet plan over HTTP, {count} domains of three addresses"
        found.append(figure(name, seconds, "s", goal="< 10"))
        name = "provisioner: a mailbox, from the request to IMAP and SMTP log-in"
        if reason := MailPair.missing():
            return [*found, skipped(name, reason)]
        seconds = asyncio.run(_mailboxes(servers, rounds))
    return [*found, figure(name, seconds, "s", goal="< 1")]


async def _changes(count: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder)
        (config / "postfleet").mkdir()
        names = [f"m{number}@one.test" for number in range(MANY)]
        (config / USERS).write_text("".join(f"{user_line(name, HASH)}\n" for name in names))
        (config / MAILBOXES).write_text("".join(f"{mailbox_line(name)}\n" for name in names))
        volume = ConfigVolume(config)
        files = TableFiles(volume, "postfleet@mail.test")
        taken = []
        for number in range(count):
            new = _address(f"new{number}@one.test", Kind.MAILBOX)
            began = time.perf_counter()
            async with volume.locked():
                await files.write_mailbox(new)
            taken.append((time.perf_counter() - began) * 1000)
        return taken


def _address(name: str, kind: Kind, *targets: str) -> Address:
    domain = name.rpartition("@")[2]
    return Address(name, kind, domain, State.REQUESTED, 1, 0, password_hash=HASH, targets=targets)


# -- a plan --------------------------------------------------------------------------------------


async def _plans(servers: dict[str, str], count: int, rounds: int) -> list[float]:
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(servers, folder, "plan_")
        await _fill(settings, count)
        async with _serving(settings, port):
            api = Api(f"http://127.0.0.1:{port}", API_KEY)
            return [await asyncio.to_thread(_plan, api, _wanted(count)) for _ in range(rounds)]


def _plan(api: Api, wanted: Fleet) -> float:
    """As `postfleet fleet plan` does; one domain of the file is not there yet."""
    began = time.perf_counter()
    made = plan(wanted, fleet.read(api))
    seconds = time.perf_counter() - began
    texts = [change.text for change in made.changes]
    if texts[0] != "add the domain new.test" or len(texts) != 2:
        raise RuntimeError(f"the plan is wrong: {texts[:5]}")
    return seconds


def _wanted(count: int) -> Fleet:
    boxes = (Mailbox(prefix="ann"), Mailbox(prefix="bob"))
    names = [f"d{number}.test" for number in range(count)]
    domains = [
        WantedDomain(name=n, mailboxes=boxes, aliases={"sales": (f"ann@{n}",)}) for n in names
    ]
    return Fleet(domains=(*domains, WantedDomain(name="new.test")))


async def _fill(settings: Settings, count: int) -> None:
    mongo = Mongo(settings.mongodb_url, SERVICE, settings.database_prefix)
    await mongo.connect()
    domains, addresses = DomainStore(mongo.database.domains), AddressStore(mongo.database.addresses)
    await domains.prepare()
    await addresses.prepare()
    for number in range(count):
        name = f"d{number}.test"
        await domains.add(_domain(name))
        for address in (
            _address(f"ann@{name}", Kind.MAILBOX),
            _address(f"bob@{name}", Kind.MAILBOX),
            _address(f"sales@{name}", Kind.ALIAS, f"ann@{name}"),
        ):
            await addresses.request(address, 0)
    await mongo.close()


def _domain(name: str) -> Domain:
    state, dmarc, now = DomainState.VERIFIED, DmarcPolicy.REJECT, int(time.time() * 1000)
    checked = {"verified_at": now, "checked_at": now}  # looked at just now: the watch lets it be
    return Domain(name, state, "token", "postfleet202601", "key", "", dmarc, None, now, **checked)


@contextlib.asynccontextmanager
async def _serving(settings: Settings, port: int) -> AsyncIterator[None]:
    """The provisioner on a port of its own, and a sender registry that has no sender."""
    app: FastAPI = build(settings)

    @app.get(f"{API}/sender-accounts")
    async def no_senders() -> dict[str, Any]:
        return {"items": [], "next_cursor": None}

    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="on")
    )
    serving = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 (nobody tells us)
        await asyncio.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _settings(servers: dict[str, str], folder: str, prefix: str) -> Settings:
    given: dict[str, Any] = {
        **servers,
        "master_key": MASTER_KEY,
        "api_key": API_KEY,
        "config_dir": Path(folder),
        "database_prefix": prefix,
        "resolver": "127.0.0.1:1",
        "outbound_probes": "127.0.0.1:1",
        "dnsbl": "",
    }
    return Settings(**given)


# -- a mailbox in use ----------------------------------------------------------------------------


async def _mailboxes(servers: dict[str, str], count: int) -> list[float]:
    client = await nats.connect(servers["nats_url"])
    await reconcile.apply(client.jetstream())
    with MailPair() as pair:
        given = {
            **servers,
            "database_prefix": "boxes_",
            "config_dir": pair.config_dir,
            "mail_host": "127.0.0.1",
            "imaps_port": pair.imaps_port,
            "submission_port": pair.submission_port,
            "tls_ca_file": str(pair.ca_file),
            "login_delay_seconds": 0,  # the pair reads its files at every question
        }
        async with provisioner(client, **given) as service:
            domain = await service.domain()
            taken = [await _usable(service, domain, f"box{number}") for number in range(count)]
    await client.close()
    return taken


async def _usable(service: Service, domain: str, prefix: str) -> float:
    """Until the provisioner itself has logged in over IMAP and submission."""
    began = time.perf_counter()
    await service.post("/mailboxes", domain=domain, prefix=prefix)

    async def live() -> bool:
        answer = await service.http.get(f"/mailboxes/{prefix}@{domain}")
        return bool(answer.json()["state"] == "live")

    await service.eventually(live)
    return time.perf_counter() - began
