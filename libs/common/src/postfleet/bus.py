"""The bus: confirmed publishing and consuming with delayed retries and dead letters.

The only code that knows JetStream's options. Streams and consumers are made by
`postfleet.reconcile`; here we bind to what exists.
"""

import asyncio
import logging
import os
import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.annotations import NatsMessage
from faststream.nats.security import NatsSecurity, NatsUserPassword
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, RawStreamMsg
from pymongo.errors import AutoReconnect

from postfleet import metrics, tracing
from postfleet.cloudevents import Announcement, Received, Unreadable, parse
from postfleet.depths import keep_measuring
from postfleet.events.event import Event
from postfleet.failpoints import reach
from postfleet.mongo import Flush, each_is_durable
from postfleet.publishing import PUBLISH_TIMEOUT, Entry, Failed, Publisher, size_on_wire
from postfleet.pull import PullLimits, PullLoop
from postfleet.replaying import Again, CannotReplay, received_of, replay
from postfleet.tasks import end
from postfleet.tls import private_context
from postfleet.topology import DEAD_LETTERS, MAX_DELIVERIES, Durable, durables_of, rpc_replay
from postfleet.topology import durable as find_durable

log = logging.getLogger(__name__)

_HEADERS_TO_COME = 200  # x-dead-bytes and what nats-py adds
_RETRY_DELAYS = (1.0, 5.0, 30.0, 120.0)  # seconds before deliveries 2…5, each ±50 %

Handler = Callable[[Received[Any]], Awaitable[None]]
BatchHandler = Callable[[list[Received[Event]]], Awaitable[None]]
MessageHandler = Callable[[list[Msg]], Awaitable[None]]


class NotConfirmed(Exception):
    """JetStream did not confirm these messages; publishing them again under their ids is safe."""

    def __init__(self, ids: Sequence[str], cause: BaseException | None) -> None:
        super().__init__(f"{len(ids)} messages were not confirmed: {cause!r}")
        self.ids = tuple(ids)


class Unavailable(Exception):
    """A dependency did not answer; trying again later is right."""


class RequestRefused(Exception):
    """The other side answered with an error; its text says why."""


#: An outage is nobody's fault: the event comes back until it is over, however often.
_DEPENDENCY_DOWN = (AutoReconnect, NotConfirmed, Unavailable)


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is no event: a job, a hit. `id` deduplicates it within the stream's window."""

    subject: str
    id: str
    body: bytes


def _retry_delay(deliveries: int) -> float:
    base = _RETRY_DELAYS[min(deliveries, len(_RETRY_DELAYS)) - 1]
    return base * random.uniform(0.5, 1.5)  # noqa: S311 (spreads load, guards nothing)


def tls_options(url: str, ca_file: str | None) -> dict[str, Any]:
    """How to reach `tls://` addresses: TLS from the first byte.

    The client would otherwise wait for the server to ask for TLS, and tell its password in clear to
    one that does not ask. The server's part is `handshake_first` in its configuration.
    """
    if "tls://" not in url:
        return {}
    return {"tls": private_context(ca_file), "tls_handshake_first": True}


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


class Bus:
    """One service's connection. `start` returns when NATS answers and all durables exist."""

    def __init__(
        self,
        url: str,
        service: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        graceful_timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self.service = service
        self._stopping = False
        self._loops: list[PullLoop] = []
        self._pulls: list[tuple[Durable, MessageHandler, PullLimits]] = []
        self._replays: dict[str, Again] = {}
        self._inbox_prefix = f"_INBOX_{service}"
        self.broker = NatsBroker(
            url.split(","),
            name=service,
            inbox_prefix=self._inbox_prefix,
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
        self._client: Client | None = None
        self._jetstream: JetStreamContext | None = None
        self._publisher: Publisher | None = None
        self._gauges: asyncio.Task[None] | None = None

    # -- life cycle ------------------------------------------------------------------------------

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

    async def connect(self) -> None:
        """Connect, waiting for NATS as long as it takes, saying so every few seconds."""
        while self._client is None:
            try:
                self._client = await self.broker.connect()
            except (TimeoutError, OSError, NatsError) as error:
                log.warning("waiting for NATS: %s", str(error) or type(error).__name__)
                await asyncio.sleep(1)
        self._jetstream = self._client.jetstream(timeout=PUBLISH_TIMEOUT)
        self._publisher = Publisher(self._client)
        await self._publisher.start()

    async def start(self) -> None:
        """Connect, wait until every durable of this service exists, then consume."""
        await self.connect()
        while missing := await self.missing_durables():
            log.warning("waiting for durables %s: run `postfleet bus apply`", ", ".join(missing))
            await asyncio.sleep(1)
        await self.broker.start()
        for durable, handler, limits in self._pulls:
            loop = PullLoop(self.client, durable.stream, durable.name, handler, limits)
            await loop.start()
            self._loops.append(loop)
        self._gauges = asyncio.create_task(keep_measuring(self.jetstream, self.service))

    async def stop_consuming(self) -> None:
        """Pull nothing more; publishing goes on. Call `stop` when what is in flight has ended."""
        self._stopping = True
        await end(self._gauges)
        await asyncio.gather(*(loop.stop() for loop in self._loops))
        self._loops = []
        for subscriber in self.broker.subscribers:
            await subscriber.stop()

    async def stop(self) -> None:
        """Stop pulling, let running handlers finish, drain the connection."""
        await self.stop_consuming()
        try:
            await self.broker.stop()
        except NatsError as error:  # NATS is away: there is nobody to drain to
            log.warning("stopped without draining: %s", str(error) or type(error).__name__)
            if self._client is not None:
                await self._client.close()

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

    @property
    def connected(self) -> bool:
        """There is a connection to NATS at this moment; says nothing of JetStream."""
        return self._client is not None and self._client.is_connected

    async def ready(self) -> bool:
        """Connected, not stopping, and every durable exists."""
        if self._stopping or self._client is None or not self._client.is_connected:
            return False
        return not await self.missing_durables()

    async def _on_error(self, error: Exception) -> None:
        log.warning("NATS: %s", str(error) or type(error).__name__)

    async def _on_closed(self) -> None:
        if not self._stopping:
            log.critical("the NATS client gave up; ending the process so that it is started again")
            os._exit(70)

    # -- publishing ------------------------------------------------------------------------------

    async def publish(self, *announcements: Announcement) -> None:
        """Publish and wait for the PubAck of each. Raises NotConfirmed; saying them again is safe."""
        failed = await self.publish_each(announcements)
        if failed:
            raise NotConfirmed(list(failed), next(iter(failed.values())))

    async def publish_each(self, announcements: Iterable[Announcement]) -> Failed:
        """Publish all; return the ids that were not confirmed, with the reason."""
        entries = [
            Entry(a.subject, a.id, a.body(), self._traced(a, a.headers(self.service)))
            for a in announcements
        ]
        with metrics.publish_seconds.labels(self.service).time():
            failed = await self._send(entries)
        said = Counter(entry.subject for entry in entries if entry.id not in failed)
        for subject, count in said.items():
            metrics.events_published.labels(self.service, subject).inc(count)
        return failed

    def _traced(self, said: Announcement, headers: dict[str, str]) -> dict[str, str]:
        """With the trace of the delivery that the event is about, while tracing is on."""
        if tracing.active is None:
            return headers
        delivery_id = getattr(said.event, "delivery_id", None) or ""
        with tracing.span(f"publish {said.subject}", delivery_id, "producer", **_named(said.id)):
            parent = tracing.traceparent(delivery_id)
        return {**headers, "traceparent": parent} if parent else headers

    async def put(self, messages: Iterable[Message]) -> Failed:
        """Publish jobs or hits; return the ids that were not confirmed, with the reason."""
        kind = {"content-type": "application/json"}
        return await self._send(
            [Entry(m.subject, m.id, m.body, {"Nats-Msg-Id": m.id, **kind}) for m in messages]
        )

    async def _send(self, entries: Sequence[Entry]) -> Failed:
        if self._publisher is None:
            raise RuntimeError("the bus is not started")
        return await self._publisher.send(entries)

    # -- request and reply -----------------------------------------------------------------------

    def answer(
        self, subject: str, handler: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
    ) -> None:
        """Answer requests on `subject`; replicas share them. An exception is an `error` reply."""

        async def reply(message: NatsMessage) -> dict[str, Any]:
            try:
                return await handler(orjson.loads(message.body))
            except RequestRefused as refusal:
                return {"error": str(refusal)}
            except Exception:
                log.exception("%s failed", subject)
                return {"error": "internal error"}

        self.broker.subscriber(subject, queue=self.service, title=subject)(reply)

    async def request(
        self, subject: str, body: dict[str, Any], timeout: float = 5.0
    ) -> dict[str, Any]:
        """Ask; raises Unavailable when nobody answers in time, RequestRefused on an error reply."""
        try:
            message = await self.client.request(subject, orjson.dumps(body), timeout=timeout)
        except (TimeoutError, NatsError) as error:
            raise Unavailable(f"{subject}: {str(error) or 'no answer'}") from error
        answer: dict[str, Any] = orjson.loads(message.data)
        if "error" in answer:
            raise RequestRefused(answer["error"])
        return answer

    # -- consuming -------------------------------------------------------------------------------

    def consume(self, durable_name: str, reactions: dict[type[Event], Handler]) -> None:
        """One event at a time through FastStream. The reactions must be the durable's subjects."""
        durable = self._own(durable_name)
        declared, handled = set(durable.subjects), {cls.subject for cls in reactions}
        if declared != handled:
            raise ValueError(f"{durable_name}: declared and handled differ: {declared ^ handled}")
        by_subject = {cls.subject: handler for cls, handler in reactions.items()}

        async def again(letter: RawStreamMsg) -> None:
            received = received_of(letter)
            await by_subject[received.event.subject](received)

        self._replayable(durable, again)

        async def react(message: NatsMessage) -> None:
            raw = message.raw_message
            if isinstance(raw, Msg):
                await self._one(durable, raw, by_subject[raw.subject])

        self.broker.subscriber(
            "",
            stream=JStream(durable.stream, declare=False),
            durable=durable.name,
            config=ConsumerConfig(
                durable_name=durable.name,
                filter_subjects=list(durable.subjects),
                ack_wait=durable.ack_wait.total_seconds(),
                max_ack_pending=durable.max_ack_pending,
            ),
            pull_sub=PullSub(batch_size=100, timeout=5.0),
            ack_policy=AckPolicy.MANUAL,
            inbox_prefix=f"{self._inbox_prefix}.".encode(),
            title=durable.name,
        )(react)

    def consume_batches(
        self,
        durable_name: str,
        handler: BatchHandler,
        limits: PullLimits = PullLimits(),  # noqa: B008
        flush: Flush = each_is_durable,
    ) -> None:
        """Hot consumers: up to `limits.batch` events at a time, in the order of the stream.

        When a batch fails, its events come back, and redelivered events are handed over one by
        one: a poison event takes no other with it. Events are acked after `flush`, which makes
        durable what the handler has written.
        """
        durable = self._own(durable_name)

        async def apply(events: list[Received[Event]]) -> None:
            await handler(events)
            await flush()

        async def again(letter: RawStreamMsg) -> None:
            await apply([received_of(letter)])

        self._replayable(durable, again)

        async def handle(messages: list[Msg]) -> None:
            fresh = [m for m in messages if m.metadata.num_delivered == 1]
            readable = await self._readable(durable, fresh)
            if readable:
                reach("consume-before-handler")
                try:
                    with self._timed(durable):
                        await apply([received for _, received in readable])
                    self._trace_batch(durable, readable)
                except Exception as error:
                    log.exception("%s: a batch of %d failed", durable.name, len(readable))
                    for message, _ in readable:
                        await self._retry_or_bury(durable, message, error)
                else:
                    await self._ack_all(durable, [message for message, _ in readable])
            for message in messages:
                if message.metadata.num_delivered > 1:
                    await self._one(durable, message, lambda received: apply([received]))

        self._pulls.append((durable, handle, limits))

    def consume_messages(
        self,
        durable_name: str,
        handler: MessageHandler,
        limits: PullLimits = PullLimits(),  # noqa: B008
    ) -> None:
        """Raw messages of an own work queue: the handler acks or naks every one itself."""
        durable = self._own(durable_name)
        self._replayable(durable, self._queue_again)
        self._pulls.append((durable, handler, limits))

    async def _queue_again(self, letter: RawStreamMsg) -> None:
        """Back into the service's own work queue, as a new message."""
        subject = (letter.headers or {}).get("x-dead-subject", "")
        id_ = f"replay-{letter.seq}-{secrets.token_hex(8)}"
        failed = await self.put([Message(subject, id_, letter.data or b"")])
        if failed:
            raise NotConfirmed(list(failed), next(iter(failed.values())))

    def _replayable(self, durable: Durable, again: Again) -> None:
        """The durable's dead letters may be tried again, by request."""

        async def answer(body: dict[str, Any]) -> dict[str, Any]:
            try:
                return await replay(self.jetstream, self._replays, body)
            except CannotReplay as error:
                raise RequestRefused(str(error)) from error

        if not self._replays:
            self.answer(rpc_replay(self.service), answer)
        self._replays[durable.name] = again

    async def pull(
        self,
        durable_name: str,
        handler: MessageHandler,
        limits: PullLimits = PullLimits(),  # noqa: B008
    ) -> PullLoop:
        """As `consume_messages`, from now on, until what this returns is stopped."""
        durable = self._own(durable_name)
        loop = PullLoop(self.client, durable.stream, durable.name, handler, limits)
        await loop.start()
        return loop

    def _own(self, name: str) -> Durable:
        durable = find_durable(name)
        if durable.service != self.service:
            raise ValueError(f"{name} belongs to {durable.service}, not to {self.service}")
        for result in ("ok", "retried", "dead"):  # there from the start: no news is a zero
            metrics.events_consumed.labels(self.service, name, result)
        return durable

    async def _readable(
        self, durable: Durable, messages: list[Msg]
    ) -> list[tuple[Msg, Received[Event]]]:
        readable = []
        for message in messages:
            try:
                readable.append((message, _received(message)))
            except Unreadable as error:
                await self._bury(durable, message, str(error))
        return readable

    async def _one(self, durable: Durable, message: Msg, handler: Handler) -> None:
        try:
            received = _received(message)
        except Unreadable as error:
            return await self._bury(durable, message, str(error))
        reach("consume-before-handler")
        try:
            name = f"{durable.name} {message.subject}"
            seen = tracing.received(name, message.headers or {}, **_named(received.id))
            with self._timed(durable), seen:
                await handler(received)
        except Exception as error:
            log.exception("%s: %s %s failed", durable.name, message.subject, received.id)
            return await self._retry_or_bury(durable, message, error)
        return await self._ack_all(durable, [message])

    def _timed(self, durable: Durable) -> AbstractContextManager[Any]:
        return metrics.event_seconds.labels(self.service, durable.name).time()

    def _trace_batch(self, durable: Durable, batch: list[tuple[Msg, Received[Event]]]) -> None:
        """A span for each event of a batch: that it was applied, in the trace it belongs to."""
        if tracing.active is None:
            return
        for message, received in batch:
            headers, name = message.headers or {}, f"{durable.name} {message.subject}"
            if "traceparent" in headers:
                with tracing.received(name, headers, **_named(received.id)):
                    pass

    async def _ack_all(self, durable: Durable, messages: list[Msg]) -> None:
        reach("consume-before-ack")
        for message in messages:
            await self.client.publish(message.reply, b"+ACK")
        metrics.events_consumed.labels(self.service, durable.name, "ok").inc(len(messages))

    async def _retry_or_bury(self, durable: Durable, message: Msg, error: Exception) -> None:
        deliveries = message.metadata.num_delivered
        if deliveries >= MAX_DELIVERIES and not isinstance(error, _DEPENDENCY_DOWN):
            await self._bury(durable, message, f"{type(error).__name__}: {error}")
            return
        await message.nak(delay=_retry_delay(deliveries))
        metrics.events_consumed.labels(self.service, durable.name, "retried").inc()

    async def bury(self, durable_name: str, message: Msg, reason: str) -> None:
        """Move a work queue's message that can never be used to the dead letters."""
        await self._bury(self._own(durable_name), message, reason)

    async def _bury(self, durable: Durable, message: Msg, reason: str) -> None:
        """To the dead letters, with reason and original headers; terminated only when stored."""
        metadata = message.metadata
        kept_under = durable.part_of or durable.name
        # Not those that told JetStream how to store the original: its batch, what it expected.
        original = {k: v for k, v in (message.headers or {}).items() if not k.startswith("Nats-")}
        headers = {
            **original,
            "Nats-Msg-Id": f"dead-{kept_under}-{metadata.sequence.stream}",
            "x-dead-reason": " ".join(reason.split())[:500],
            "x-dead-durable": kept_under,
            "x-dead-subject": message.subject,
            "x-dead-stream": metadata.stream,
            "x-dead-sequence": str(metadata.sequence.stream),
            "x-dead-deliveries": str(metadata.num_delivered),
        }
        await self.jetstream.publish(
            f"dead.{kept_under}.{message.subject}.{metadata.sequence.stream}",
            self._cut(message.data, headers),
            stream=DEAD_LETTERS.name,
            headers=headers,
        )
        await message.term()
        metrics.events_consumed.labels(self.service, durable.name, "dead").inc()
        log.error("%s: dead letter %s: %s", durable.name, message.subject, reason)

    def _cut(self, body: bytes, headers: dict[str, str]) -> bytes:
        """The body, or as much of it as fits beside the headers; `x-dead-bytes` says so then.

        A publish over max_payload would end the connection for good, and with it the process.
        """
        room = max(0, self.client.max_payload - size_on_wire(b"", headers) - _HEADERS_TO_COME)
        if len(body) > room:
            headers["x-dead-bytes"] = str(len(body))  # the whole is at x-dead-sequence
        return body[:room]


def _named(event_id: str) -> dict[str, str]:
    return {"messaging.system": "nats", "messaging.message.id": event_id}


def _received(message: Msg) -> Received[Event]:
    headers = message.headers or {}
    metadata = message.metadata
    return Received(
        event=parse(message.subject, headers, message.data),
        id=headers.get("ce-id") or f"{metadata.stream}-{metadata.sequence.stream}",
        source=headers.get("ce-source", ""),
        deliveries=metadata.num_delivered,
        sequence=metadata.sequence.stream,
        stored_at=metadata.timestamp,
    )
