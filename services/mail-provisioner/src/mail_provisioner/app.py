"""Wiring: settings -> clients -> stores -> provisioner -> routers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI
from pymongo.errors import PyMongoError

from mail_provisioner import handlers
from mail_provisioner.api import (
    apps,
    blocklists,
    catch_all,
    checks,
    dkim_keys,
    dns_providers,
    domain_dns,
    domains,
    filters,
    forwards,
    mail_tests,
    mailboxes,
    mta_sts,
    relays,
)
from mail_provisioner.checking import Checks
from mail_provisioner.dns import Lookup
from mail_provisioner.dns_accounts import DnsAccounts, DnsWriters
from mail_provisioner.dns_update import DynamicUpdates
from mail_provisioner.domain_dns import DomainDns
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.entry_stores import EntryStore, block_of, relay_of
from mail_provisioner.filter_store import FilterStore
from mail_provisioner.login import MailServerAddress, TryLogin, login_trial
from mail_provisioner.mail_files import MailFiles, PlainFiles, TableFiles
from mail_provisioner.mail_test_store import MailTestStore
from mail_provisioner.mail_testing import MailTesting, MasterAccount
from mail_provisioner.provisioning import Provisioner
from mail_provisioner.retargeting import Retargeting
from mail_provisioner.settings import SERVICE, Settings
from mail_provisioner.sieve import FilterScripts, SieveServer
from mail_provisioner.signing import Signing
from mail_provisioner.store import AddressStore
from mail_provisioner.upkeep import Upkeep
from mail_provisioner.volume import ConfigVolume
from mail_provisioner.watch import Watch
from postfleet.api_keys import Authenticator, registry_lookup
from postfleet.bus import Bus
from postfleet.http import create_app
from postfleet.mongo import Mongo
from postfleet.outbox import OutboxRelay
from postfleet.tasks import end
from postfleet.tls import client_context
from postfleet.topology import RPC_MAILBOX_CREATE, RPC_MAILBOX_DELETE, RPC_MAILBOX_SECRET

log = logging.getLogger(__name__)


def build(settings: Settings) -> FastAPI:
    """The service as an ASGI app; nothing is connected before its lifespan starts."""
    mongo = Mongo(settings.mongodb_url, SERVICE, settings.database_prefix)
    password = settings.nats_password
    bus = Bus(
        settings.nats_url,
        SERVICE,
        user=settings.nats_user,
        password=password.get_secret_value() if password else None,
        ca_file=settings.nats_ca_file,
    )
    database = mongo.database
    domain_store, address_store = DomainStore(database.domains), AddressStore(database.addresses)
    relay_store = EntryStore(database.relays, relay_of)
    block_store = EntryStore(database.blocks, block_of)
    outboxes = [OutboxRelay(database.domains, bus), OutboxRelay(database.addresses, bus)]
    volume = ConfigVolume(settings.config_dir)
    files = _files(settings, volume)
    retargeting = Retargeting(address_store, outboxes[1], volume, files)
    provisioner = Provisioner(
        address_store,
        outboxes[1],
        volume,
        files,
        settings.key_ring,
        _trial(settings),
        int(settings.login_delay_seconds * 1000),
    )
    lookup = Lookup(settings.resolver_address)
    server = settings.update_server
    dns_accounts = DnsAccounts(database.dns_accounts, settings.key_ring, settings.provider_urls)
    writers = DnsWriters(dns_accounts, DynamicUpdates(server) if server else None)
    records_of = DomainDns(lookup, writers, settings)
    tls = client_context(settings.tls_ca_file)
    looks = Checks(lookup, records_of, settings, tls)
    master = MasterAccount(database.master, volume, settings.key_ring, settings.login_delay_seconds)
    filter_store = FilterStore(database.filters)
    signing = Signing(domain_store, volume, settings.key_ring)
    upkeep = Upkeep(relay_store, block_store, volume, settings.key_ring)
    watch = Watch(domain_store, outboxes[0], looks, int(settings.checks_interval_seconds * 1000))
    bus.answer(RPC_MAILBOX_SECRET, handlers.mailbox_secret(address_store))
    bus.answer(RPC_MAILBOX_DELETE, handlers.mailbox_delete(address_store, provisioner))
    bus.answer(
        RPC_MAILBOX_CREATE,
        handlers.mailbox_create(address_store, domain_store, provisioner, settings.key_ring),
    )

    async def start() -> None:
        await mongo.connect()
        await _insist(domain_store.prepare)
        await _insist(address_store.prepare)
        await _insist(relay_store.prepare)
        await _insist(block_store.prepare)
        await _insist(filter_store.prepare)
        await bus.start()
        for outbox in outboxes:
            await _insist(outbox.start)
        provisioner.start()
        watch.start()
        upkeep.start()
        signing.start()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        starting = asyncio.create_task(start(), name="start")
        starting.add_done_callback(_report)
        yield
        await end(starting)
        await watch.stop()
        await upkeep.stop()
        await signing.stop()
        await provisioner.stop()
        for outbox in outboxes:
            await outbox.stop()
        await bus.stop()
        await mongo.close()

    async def provisioning() -> bool:
        return all(task.alive() for task in (provisioner, watch, upkeep, signing))

    return create_app(
        SERVICE,
        authenticator=Authenticator(
            settings.api_key.get_secret_value(), registry_lookup(bus.request)
        ),
        checks={"bus": bus.ready, "database": mongo.ready, "provisioner": provisioning},
        routers=[
            domains.build(domain_store, outboxes[0], lookup, settings, volume, files),
            domain_dns.build(domain_store, records_of),
            dns_providers.build(dns_accounts),
            dkim_keys.build(domain_store, records_of, signing, settings.key_ring),
            mail_tests.build(
                MailTestStore(database.mail_tests),
                domain_store,
                address_store,
                _mail_testing(settings, master),
            ),
            checks.build(domain_store, looks),
            mta_sts.build(domain_store, settings),
            mailboxes.build(
                address_store, domain_store, provisioner, settings.key_ring, filter_store
            ),
            filters.build(filter_store, address_store, _filter_scripts(settings, master)),
            relays.build(relay_store, domain_store, upkeep, settings.key_ring, tls),
            blocklists.build(block_store, upkeep),
            apps.build(address_store, domain_store, provisioner, settings),
            *(
                forwards.build(words, address_store, domain_store, provisioner, retargeting)
                for words in (forwards.ALIASES, forwards.GROUPS)
            ),
            catch_all.build(address_store, domain_store, provisioner, retargeting),
        ],
        idempotency=database.idempotency,
        lifespan=lifespan,
    )


def _report(starting: asyncio.Task[None]) -> None:
    if not starting.cancelled() and (error := starting.exception()):
        log.critical("the service cannot start and stays unready", exc_info=error)


def _files(settings: Settings, volume: ConfigVolume) -> MailFiles:
    if settings.config_form == "tables":
        return TableFiles(volume, f"postfleet@{settings.hostname or 'localhost.localdomain'}")
    return PlainFiles(volume)


def _trial(settings: Settings) -> TryLogin | None:
    server = _mail_server(settings)
    return login_trial(server, client_context(settings.tls_ca_file)) if server else None


def _mail_testing(settings: Settings, master: MasterAccount) -> MailTesting | None:
    server = _mail_server(settings)
    return MailTesting(server, client_context(settings.tls_ca_file), master) if server else None


def _filter_scripts(settings: Settings, master: MasterAccount) -> FilterScripts | None:
    if not settings.mail_host:
        return None
    server = SieveServer(settings.mail_host, settings.sieve_port)
    return FilterScripts(server, client_context(settings.tls_ca_file), master)


def _mail_server(settings: Settings) -> MailServerAddress | None:
    if not settings.mail_host:
        return None
    return MailServerAddress(settings.mail_host, settings.imaps_port, settings.submission_port)


async def _insist(step: Callable[[], Awaitable[None]]) -> None:
    """Until the database takes it."""
    while True:
        try:
            return await step()
        except PyMongoError as error:
            log.warning("the database refuses, tried again: %s", error)
            await asyncio.sleep(1)
