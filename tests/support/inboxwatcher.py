"""An inbox watcher in this process, with a stand-in for the registry and eyes on the bus."""

import asyncio
import contextlib
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from nats.js.errors import NotFoundError

from inbox_watcher.app import build
from inbox_watcher.settings import Settings
from postfleet import reconcile
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.deliveries import EmailSent, EmailUnknown
from postfleet.events.senders import MailServer, SenderCreated, SenderSnapshot, SenderUpdated
from postfleet.instants import now
from postfleet.rpc import RequestRefused
from postfleet.secrets import KeyRing
from postfleet.topology import RPC_CREDENTIALS
from tests.support.mailpair import MailPair
from tests.support.process import ServerProcess

API_KEY = "test-key-of-sixteen"
_numbers = itertools.count(1)


@dataclass
class Platform:
    """NATS with the streams, and a registry that knows some senders' passwords."""

    nats_url: str
    mongo_url: str
    ca_file: str | None = None
    master_key: str = field(default_factory=KeyRing.generate)
    passwords: dict[str, str] = field(default_factory=dict)
    registry: Bus | None = None

    async def start(self) -> None:
        dispatcher = Bus(self.nats_url, "sender-registry")
        await dispatcher.connect()
        await reconcile.apply(dispatcher.jetstream)
        dispatcher.answer(RPC_CREDENTIALS, self._credentials)
        await dispatcher.start()
        self.registry = dispatcher

    async def stop(self) -> None:
        await self.bus.stop()

    @property
    def bus(self) -> Bus:
        assert self.registry is not None
        return self.registry

    async def _credentials(self, request: dict[str, Any]) -> dict[str, Any]:
        sender_id = request["sender_id"]
        if request["protocol"] != "imap" or sender_id not in self.passwords:
            raise RequestRefused(f"there is no sender {sender_id}")
        sealed = KeyRing.parse(self.master_key).seal(
            self.passwords[sender_id],
            service="sender-registry",
            record=sender_id,
            name="imap_password",
        )
        return {"sealed": sealed, "username": f"{sender_id}@one.test"}

    async def register(
        self, sender_id: str, port: int, password: str, *, security: str = "implicit", **more: Any
    ) -> None:
        """Say that a sender exists, as the registry would."""
        self.passwords[sender_id] = password
        snapshot = self.snapshot(sender_id, port, security=security, **more)
        event = SenderCreated(occurred_at=now(), sender_id=sender_id, sender=snapshot)
        await self.bus.publish(Announcement(event))

    async def update(self, sender_id: str, port: int, **more: Any) -> None:
        snapshot = self.snapshot(sender_id, port, **more)
        event = SenderUpdated(occurred_at=now(), sender_id=sender_id, sender=snapshot)
        await self.bus.publish(Announcement(event))

    def snapshot(
        self, sender_id: str, port: int, *, security: str = "implicit", **more: Any
    ) -> SenderSnapshot:
        address = f"{sender_id}@one.test"
        server = {"host": "127.0.0.1", "port": port, "security": security, "username": address}
        values: dict[str, Any] = {
            "sender_id": sender_id,
            "revision": 1,
            "email_address": address,
            "domain": "one.test",
            "status": "ready",
            "health": 100,
            "daily_limit": 50,
            "effective_limit": 50,
            "smtp": MailServer.model_validate({**server, "port": 25}),
            "imap": MailServer.model_validate(server),
        }
        return SenderSnapshot.model_validate(values | more)

    async def sent(self, sender_id: str, recipient: str, message_id: str) -> str:
        """Say that a mail was sent; returns its delivery id."""
        delivery_id = derived_id("delivery", message_id)
        event = EmailSent(
            occurred_at=now(),
            delivery_id=delivery_id,
            campaign_id="campaign",
            step=1,
            variant="A",
            lead_id=f"lead-{recipient}",
            sender_id=sender_id,
            recipient=recipient,
            message_id=message_id,
            reply_code=250,
            mail_subject="Hello",
        )
        await self.bus.publish(Announcement(event))
        return delivery_id

    async def in_doubt(
        self, sender_id: str, recipient: str, message_id: str, attempt: int = 1
    ) -> str:
        """Say that the outcome of a mail is unknown; returns its delivery id."""
        delivery_id = derived_id("delivery", message_id)
        event = EmailUnknown(
            occurred_at=now(),
            delivery_id=delivery_id,
            campaign_id="campaign",
            step=1,
            variant="A",
            lead_id=f"lead-{recipient}",
            sender_id=sender_id,
            recipient=recipient,
            message_id=message_id,
            attempt=attempt,
        )
        await self.bus.publish(Announcement(event))
        return delivery_id

    async def events(self, *subjects: str) -> list[dict[str, Any]]:
        """Everything the stream holds under these subjects, oldest first, with `id` and `type`."""
        info = await self.bus.jetstream.stream_info("EVENTS")
        found = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            with contextlib.suppress(NotFoundError):
                message = await self.bus.jetstream.get_msg("EVENTS", sequence)
                if message.subject in subjects:
                    headers = message.headers or {}
                    body = orjson.loads(message.data or b"{}")
                    found.append({**body, "id": headers["ce-id"], "type": message.subject})
        return found

    async def events_of(self, sender_id: str, *subjects: str) -> list[dict[str, Any]]:
        return [e for e in await self.events(*subjects) if e.get("sender_id") == sender_id]

    async def wait_events(
        self, sender_id: str, *subjects: str, count: int = 1, timeout: float = 10
    ) -> list[dict[str, Any]]:
        """Wait for at least `count` events about a sender; return all there are then."""
        return await eventually(
            lambda: self.events_of(sender_id, *subjects), lambda e: len(e) >= count, timeout
        )

    def settings(self, prefix: str, **more: Any) -> Settings:
        values: dict[str, Any] = {
            "nats_url": self.nats_url,
            "mongodb_url": self.mongo_url,
            "database_prefix": prefix,
            "master_key": self.master_key,
            "api_key": API_KEY,
            "tls_ca_file": self.ca_file,
            "retry_seconds": 0.2,
            "idle_seconds": 1.0,
            "poll_seconds": 0.5,
            "command_seconds": 5.0,
        }
        return Settings(**(values | more))

    @contextlib.asynccontextmanager
    async def watcher(self, prefix: str, **more: Any) -> AsyncIterator[AsyncClient]:
        """A running watcher; the client speaks to its HTTP API."""
        async with running(build(self.settings(prefix, **more))) as client:
            yield client


def new_sender(mail_pair: MailPair, password: str = "secret") -> str:
    """The id of a sender whose mailbox exists and can be logged in to."""
    name = f"watched{next(_numbers)}"
    mail_pair.add_mailbox(f"{name}@one.test", password)
    mail_pair.wait_login(f"{name}@one.test", password)
    return name


def replica(
    platform: Platform, prefix: str, folder: Path, number: int, lease_seconds: int = 2
) -> ServerProcess:
    """A watcher in a process of its own, which can be killed."""
    environment = {
        **os.environ,
        "NATS_URL": platform.nats_url,
        "MONGODB_URL": platform.mongo_url,
        "MASTER_KEY": platform.master_key,
        "POSTFLEET_API_KEY": API_KEY,
        "POSTFLEET_DATABASE_PREFIX": prefix,
        "POSTFLEET_HTTP_PORT": "0",
        "POSTFLEET_INBOX_WATCHER_ALLOW_PLAIN_IMAP": "true",
        "POSTFLEET_INBOX_WATCHER_LEASE_SECONDS": str(lease_seconds),
        "POSTFLEET_INBOX_WATCHER_IDLE_SECONDS": "1",
    }
    if platform.ca_file:
        environment["POSTFLEET_TLS_CA_FILE"] = platform.ca_file
    command = [sys.executable, "-m", "inbox_watcher"]
    return ServerProcess(command, folder / f"watcher{number}.log", environment)


@contextlib.asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[AsyncClient]:
    headers = {"X-API-Key": API_KEY}
    async with app.router.lifespan_context(app):
        transport = ASGITransport(app=app)
        async with AsyncClient(transport=transport, base_url="http://w", headers=headers) as client:
            await eventually(lambda: client.get("/readyz"), lambda r: r.status_code == 200, 20)
            yield client


async def eventually(
    get: Callable[[], Awaitable[Any]], good: Callable[[Any], bool], timeout: float = 10
) -> Any:
    """Ask until the answer is good; the last answer is in the error otherwise."""
    deadline = time.monotonic() + timeout
    while True:
        answer = await get()
        if good(answer):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s; the last answer was {answer!r}")
        await asyncio.sleep(0.05)
