"""Wiring: settings to clients to routers and consumers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI
from pymongo.errors import PyMongoError

from postfleet import instants
from postfleet.api_keys import Authenticator
from postfleet.bus import Bus
from postfleet.http import create_app
from postfleet.mongo import Mongo
from postfleet.outbox import OutboxRelay
from postfleet.tasks import end
from postfleet.tls import client_context
from sender_registry import handlers, rpc
from sender_registry.accounts import Accounts, Rules
from sender_registry.api import build_router
from sender_registry.applied_store import AppliedStore
from sender_registry.changing import Changes
from sender_registry.connecting import Reach
from sender_registry.discovering import Discovery
from sender_registry.domain_store import DomainStore
from sender_registry.domain_suspending import DomainSuspensions, build_domain_router
from sender_registry.flow_store import FlowStore
from sender_registry.guidance import build_guidance_router
from sender_registry.internal import InternalSenders, MailHost
from sender_registry.key_api import build_key_router
from sender_registry.key_store import KeyStore
from sender_registry.new_day import NewDay
from sender_registry.oauth_api import Flows, build_oauth_router
from sender_registry.oauth_settings import endpoints
from sender_registry.providers import Providers
from sender_registry.request_api import build_request_router
from sender_registry.request_store import RequestStore
from sender_registry.requesting import Requests
from sender_registry.rotating import build_rotation_router
from sender_registry.settings import Settings
from sender_registry.sla import SlaClock
from sender_registry.store import SenderStore
from sender_registry.sweep import Chores, Sweep
from sender_registry.token_keeper import TokenKeeper
from sender_registry.vault import SERVICE, Vault
from sender_registry.warming import Warming, build_warmup_router

log = logging.getLogger(__name__)


def build(settings: Settings) -> FastAPI:
    """The service. It connects in the background; readiness tells when it has."""
    mongo = Mongo(settings.mongodb_url, SERVICE, settings.database_prefix)
    password = settings.nats_password
    bus = Bus(
        settings.nats_url,
        SERVICE,
        user=settings.nats_user,
        password=password.get_secret_value() if password else None,
        ca_file=settings.nats_ca_file,
    )
    collection = mongo.database["senders"]
    senders = SenderStore(collection, mongo.grouped["senders"])
    applied = AppliedStore(mongo.grouped["applied"])
    keys = KeyStore(mongo.database["api_keys"])
    relay = OutboxRelay(collection, bus)
    changes = Changes(senders, relay, settings.limit_rules, instants.now)
    reach = Reach(
        settings.networks,
        settings.validation_timeout_seconds,
        client_context(settings.tls_ca_file),
        settings.ehlo_name,
    )
    discovery = Discovery(reach, settings.dns_server, settings.ispdb_url)
    vault = Vault(settings.key_ring)
    providers = Providers(endpoints(settings), reach)
    tokens = TokenKeeper(changes, vault, providers)
    domains = DomainStore(mongo.database["suspended_domains"])
    rules = Rules(settings.policy, domains, settings.relay_access)
    accounts = Accounts(changes, vault, reach, providers, rules)
    own = MailHost(*settings.own_mail_host)
    internal = InternalSenders(accounts, settings.key_ring, bus.request, own)
    request_store = RequestStore(mongo.database["requests"], settings.key_ring)
    request_relay = OutboxRelay(mongo.database["requests"], bus)
    sla = SlaClock(request_store, request_relay, changes)
    requests = Requests(request_store, accounts, internal, settings.require_approval)
    suspensions = DomainSuspensions(domains, changes)
    flow_store = FlowStore(mongo.database["oauth_flows"], settings.key_ring)
    handlers.subscribe(bus, changes, applied, internal, mongo.flush)
    warming = Warming(changes)
    rpc.answer(bus, senders, keys, tokens, warming)
    new_day = NewDay(changes, settings.deadline_rules, accounts.look_at_certificates, mongo.flush)
    others = (internal.sweep, suspensions.sweep, sla.sweep)
    chores = Chores(applied, tokens, others, new_day)
    sweep = Sweep(changes, chores, settings.sweep_seconds)
    steps = [store.ensure_indexes for store in (senders, applied, keys, flow_store, request_store)]

    async def run() -> None:
        await mongo.connect()
        await _until_it_works(*steps)
        await bus.start()
        await _until_it_works(relay.start, request_relay.start)
        await sweep.run()

    running: list[asyncio.Task[None]] = []

    async def work() -> bool:
        return bool(running) and not running[0].done()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        task = asyncio.create_task(run(), name=SERVICE)
        task.add_done_callback(_say_why)
        running[:] = [task]
        try:
            yield
        finally:
            await end(task)
            await relay.stop()
            await request_relay.stop()
            await bus.stop()
            await mongo.close()

    return create_app(
        SERVICE,
        authenticator=Authenticator(settings.api_key.get_secret_value(), keys.by_hash),
        checks={"bus": bus.ready, "database": mongo.ready, "work": work},
        routers=[
            build_guidance_router(discovery),  # before the one whose paths end in an id
            build_oauth_router(Flows(accounts, flow_store, settings.public_url)),
            build_rotation_router(senders, request_store, vault),
            build_domain_router(suspensions),
            build_warmup_router(changes, warming),
            build_router(accounts, internal),
            build_request_router(requests),
            build_key_router(keys),
        ],
        idempotency=mongo.database["idempotency"],
        lifespan=lifespan,
    )


async def _until_it_works(*steps: Callable[[], Awaitable[None]]) -> None:
    for step in steps:
        while True:
            try:
                await step()
                break
            except PyMongoError as error:
                log.warning("the database fails, tried again soon: %s", error)
                await asyncio.sleep(1)


def _say_why(task: asyncio.Task[None]) -> None:
    """What nobody expected ends the background work; readiness fails from then on."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("the background work ended", exc_info=task.exception())
