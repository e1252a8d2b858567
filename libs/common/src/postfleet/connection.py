"""One service's connection to NATS: how it is reached, waited for and left."""

import asyncio
import logging
import os
from contextlib import suppress
from datetime import timedelta

from faststream import AckPolicy
from faststream.nats import NatsBroker
from faststream.nats.security import NatsSecurity, NatsUserPassword
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from postfleet.outages import Unavailable
from postfleet.publishing import PUBLISH_TIMEOUT
from postfleet.tls import tls_options
from postfleet.topology import Durable, durables_of

log = logging.getLogger(__name__)


def _security(
    url: str, user: str | None, password: str | None, ca_file: str | None
) -> NatsSecurity | None:
    options = tls_options(url, ca_file)
    context, first = options.get("tls"), bool(options)
    if user:
        return NatsUserPassword(
            user, password or "", ssl_context=context, tls_handshake_first=first
        )
    return NatsSecurity(ssl_context=context, tls_handshake_first=first) if options else None


class Connection:
    """Comes back by itself after every outage; a client that gives up ends the process."""

    def __init__(
        self,
        url: str,
        service: str,
        *,
        user: str | None,
        password: str | None,
        ca_file: str | None,
        graceful_timeout: timedelta,
    ) -> None:
        self.service = service
        self.inbox_prefix = f"_INBOX_{service}"
        self.broker = NatsBroker(
            url.split(","),
            name=service,
            inbox_prefix=self.inbox_prefix,
            logger=logging.getLogger("postfleet.faststream"),  # "faststream" writes its own lines
            log_level=logging.DEBUG,
            connect_timeout=5,
            reconnect_time_wait=1,
            max_reconnect_attempts=-1,
            ping_interval=20,
            max_outstanding_pings=2,
            pending_size=16 * 1024 * 1024,
            drain_timeout=20,
            graceful_timeout=graceful_timeout.total_seconds(),
            ack_policy=AckPolicy.NACK_ON_ERROR,
            error_cb=self._on_error,
            closed_cb=self._on_closed,
            security=_security(url, user, password, ca_file),
        )
        self._leaving = False
        self._client: Client | None = None
        self._jetstream: JetStreamContext | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            raise Unavailable("not connected to NATS yet")
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        if self._jetstream is None:
            raise Unavailable("not connected to NATS yet")
        return self._jetstream

    @property
    def connected(self) -> bool:
        """There is a connection to NATS at this moment; says nothing of JetStream."""
        return self._client is not None and self._client.is_connected

    async def open(self) -> None:
        """Connect, waiting for NATS as long as it takes, saying so every few seconds."""
        while self._client is None:
            try:
                self._client = await self.broker.connect()
            except (TimeoutError, OSError, NatsError) as error:
                log.warning("waiting for NATS: %s", str(error) or type(error).__name__)
                await asyncio.sleep(1)
        self._jetstream = self._client.jetstream(timeout=PUBLISH_TIMEOUT)

    def leave(self) -> None:
        """From now on the service is not ready, and a closed connection is as it should be."""
        self._leaving = True

    async def close(self) -> None:
        """Let running handlers finish, drain the connection."""
        self.leave()
        try:
            await self.broker.stop()
        except NatsError as error:  # NATS is away: there is nobody to drain to
            log.warning("stopped without draining: %s", str(error) or type(error).__name__)
            if self._client is not None:
                await self._client.close()

    async def wait_for_durables(self) -> None:
        while missing := await self.missing_durables():
            log.warning("waiting for durables %s: run `postfleet bus apply`", ", ".join(missing))
            await asyncio.sleep(1)

    async def subscribed(self) -> None:
        """The server knows every subscription; if it is away, it is told them when it is back.

        Twice, for nats-py's PING goes past what waits to be written; it is written before the second.
        """
        with suppress(TimeoutError, NatsError):
            await self.client.flush()
            await self.client.flush()

    async def ready(self) -> bool:
        """Connected, not leaving, and every durable exists."""
        if self._leaving or not self.connected:
            return False
        return not await self.missing_durables()

    async def missing_durables(self) -> list[str]:
        """The durables of this service that NATS does not have (or cannot tell of) now."""
        durables = durables_of(self.service)
        there = await asyncio.gather(*(self._is_there(durable) for durable in durables))
        return [durable.name for durable, yes in zip(durables, there, strict=True) if not yes]

    async def _is_there(self, durable: Durable) -> bool:
        try:
            await self.jetstream.consumer_info(durable.stream, durable.name, timeout=2)
        except (TimeoutError, NatsError):
            return False
        return True

    async def _on_error(self, error: Exception) -> None:
        log.warning("NATS: %s", str(error) or type(error).__name__)

    async def _on_closed(self) -> None:
        if not self._leaving:
            log.critical("the NATS client gave up; ending the process so that it is started again")
            os._exit(70)
