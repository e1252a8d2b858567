"""Wiring: settings -> clients -> stores -> watches, handlers, routers."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import FastAPI

from inbox_watcher.api import build_router
from inbox_watcher.arrivals import Arrivals
from inbox_watcher.copies import Copies
from inbox_watcher.domain.mailbox import Cursor
from inbox_watcher.domain.matching import Match
from inbox_watcher.domain.understood import Understood
from inbox_watcher.evidence import Evidence
from inbox_watcher.handlers import Feed
from inbox_watcher.inbound_store import InboundStore
from inbox_watcher.leases import Leases
from inbox_watcher.mailbox_store import MailboxStore
from inbox_watcher.pace import Pace
from inbox_watcher.question_store import QuestionStore
from inbox_watcher.replica_store import ReplicaStore
from inbox_watcher.sent_store import SentStore
from inbox_watcher.settings import Settings
from inbox_watcher.sweeps import Sweeps
from inbox_watcher.watching import Tools
from postfleet.api_keys import Authenticator, registry_lookup
from postfleet.bus import Bus
from postfleet.http import create_app
from postfleet.instants import now_ms
from postfleet.mongo import Mongo
from postfleet.outbox import OutboxRelay
from postfleet.tasks import end
from postfleet.tokens import TokenKeys
from postfleet.topology import RPC_CREDENTIALS

log = logging.getLogger(__name__)

SERVICE = "inbox-watcher"


@dataclass(slots=True)
class _Running:
    """Whether the part that needs NATS and MongoDB has started."""

    started: bool = False


def build(settings: Settings) -> FastAPI:
    """The service, not yet connected."""
    mongo = Mongo(settings.mongodb_url, SERVICE, settings.database_prefix)
    bus = _bus(settings)
    database = mongo.database
    inbound, sent = InboundStore(database.inbound), SentStore(mongo.grouped.sent_index)
    mailboxes = MailboxStore(database.mailboxes)
    questions = QuestionStore(database.questions)
    mail_relay = OutboxRelay(database.inbound, bus)
    state_relay = OutboxRelay(database.mailboxes, bus)
    evidence_relay = OutboxRelay(database.questions, bus)
    relays = (mail_relay, state_relay, evidence_relay)
    after_ms = int(settings.evidence_after_seconds * 1000)
    evidence = Evidence(questions, sent, evidence_relay.wake, after_ms)
    arrivals = Arrivals(
        inbound,
        sent,
        mailboxes,
        mail_relay.wake,
        settings.raw_kept_bytes,
        int(settings.match_minutes * 60_000),
        TokenKeys(settings.key_ring),
    )
    copies_ms = int(settings.unexpected_after_seconds * 1000)
    copies = Copies(inbound, sent, mail_relay.wake, copies_ms, TokenKeys(settings.key_ring))
    replicas = ReplicaStore(database.replicas)
    leases = _leases(settings, bus, mailboxes, replicas, arrivals, copies, evidence)
    sweeps = Sweeps(
        settings, arrivals, copies, mailboxes, inbound, sent, questions, state_relay.wake
    )
    feed = Feed(sent, inbound, mailboxes, questions, after_ms, leases.wake, sweeps.wake)
    bus.consume_batches("inbox-watcher-feed", feed.apply, flush=mongo.flush)
    running = _Running()

    async def start() -> None:
        await mongo.connect()
        for store in (inbound, sent, mailboxes, questions, replicas):
            await store.ensure_indexes()
        for relay in relays:
            await relay.start()
        await bus.start()
        sweeps.start()
        leases.start()
        running.started = True

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        starting = asyncio.create_task(start(), name="start")
        starting.add_done_callback(_end_if_failed)
        try:
            yield
        finally:
            await end(starting)
            if running.started:
                await leases.stop()
                await sweeps.stop()
                for relay in relays:
                    await relay.stop()
            await bus.stop()
            await mongo.close()

    async def match_of(mail: Understood, sender_id: str) -> Match | None:
        return await arrivals.match(mail, sender_id, now_ms(), at_last=True)

    async def watching() -> bool:
        return running.started and leases.healthy()

    return create_app(
        SERVICE,
        authenticator=Authenticator(
            settings.api_key.get_secret_value(), registry_lookup(bus.request)
        ),
        checks={"bus": bus.ready, "database": mongo.ready, "watching": watching},
        routers=[build_router(inbound, match_of)],
        idempotency=database.idempotency,
        lifespan=lifespan,
    )


def _bus(settings: Settings) -> Bus:
    password = settings.nats_password.get_secret_value() if settings.nats_password else None
    return Bus(
        settings.nats_url,
        SERVICE,
        user=settings.nats_user,
        password=password,
        ca_file=settings.nats_ca_file,
    )


def _leases(
    settings: Settings,
    bus: Bus,
    mailboxes: MailboxStore,
    replicas: ReplicaStore,
    arrivals: Arrivals,
    copies: Copies,
    evidence: Evidence,
) -> Leases:
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    keys = settings.key_ring

    async def credentials(sender_id: str) -> tuple[str, str]:
        answer = await bus.request(RPC_CREDENTIALS, {"sender_id": sender_id, "protocol": "imap"})
        password = keys.open(
            answer["sealed"], service="sender-registry", record=sender_id, name="imap_password"
        )
        return answer["username"], password

    async def save_cursor(sender_id: str, folder: str, cursor: Cursor) -> bool:
        return await mailboxes.save_cursor(owner, sender_id, folder, cursor)

    pace = Pace(settings.idle_seconds, settings.looks_per_second, settings.stale_seconds)
    tools = Tools(settings, arrivals, copies, evidence, credentials, save_cursor, pace)
    return Leases(owner, mailboxes, replicas, tools, settings)


def _end_if_failed(starting: asyncio.Task[None]) -> None:
    """A start that fails for good must not leave a process behind that only looks alive."""
    if not starting.cancelled() and (error := starting.exception()):
        log.critical("cannot start: %r", error, exc_info=error)
        os._exit(70)
