"""Consuming: what a service has a durable for, handed to its handlers, acked when they are done.

Streams and consumers are made by `postfleet.reconcile`; here we bind to what exists.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, PullSub
from faststream.nats.annotations import NatsMessage
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, RawStreamMsg

from postfleet import metrics, tracing
from postfleet.announcing import Announcing, Message, raise_if
from postfleet.cloudevents import Received, Unreadable, parse
from postfleet.connection import Connection
from postfleet.events.event import Event
from postfleet.failpoints import reach
from postfleet.mongo import Flush
from postfleet.outages import NotYet
from postfleet.pull import PullLimits, PullLoop
from postfleet.replaying import Again, CannotReplay, received_of, replay
from postfleet.retrying import Retrying
from postfleet.rpc import RequestRefused, Rpc
from postfleet.topology import Durable, rpc_replay
from postfleet.topology import durable as find_durable

log = logging.getLogger(__name__)

Handler = Callable[[Received[Any]], Awaitable[None]]
BatchHandler = Callable[[list[Received[Event]]], Awaitable[None]]
MessageHandler = Callable[[list[Msg]], Awaitable[None]]
_Readable = list[tuple[Msg, Received[Event]]]


class Consuming:
    """The durables of one service."""

    def __init__(self, connection: Connection, announcing: Announcing, rpc: Rpc) -> None:
        self._connection = connection
        self._announcing = announcing
        self._rpc = rpc
        self._retrying = Retrying(connection)
        self._pulls: list[tuple[Durable, MessageHandler, PullLimits]] = []
        self._loops: list[PullLoop] = []
        self._replays: dict[str, Again] = {}

    async def start(self) -> None:
        await self._connection.broker.start()
        for durable, handler, limits in self._pulls:
            self._loops.append(await self._loop(durable, handler, limits))

    async def stop(self) -> None:
        """Pull nothing more; what is in flight goes on."""
        await asyncio.gather(*(loop.stop() for loop in self._loops))
        self._loops = []
        for subscriber in self._connection.broker.subscribers:
            await subscriber.stop()

    # -- what is consumed ------------------------------------------------------------------------

    def one_by_one(self, durable_name: str, reactions: dict[type[Event], Handler]) -> None:
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

        self._connection.broker.subscriber(
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
            inbox_prefix=f"{self._connection.inbox_prefix}.".encode(),
            title=durable.name,
        )(react)

    def in_batches(
        self, durable_name: str, handler: BatchHandler, limits: PullLimits, flush: Flush
    ) -> None:
        """Up to `limits.batch` events at a time, acked after `flush`; what failed, one by one."""
        durable = self._own(durable_name)

        async def apply(events: list[Received[Event]]) -> None:
            await handler(events)
            await flush()

        async def again(letter: RawStreamMsg) -> None:
            await apply([received_of(letter)])

        self._replayable(durable, again)

        async def handle(messages: list[Msg]) -> None:
            fresh = [m for m in messages if m.metadata.num_delivered == 1]
            await self._batch(durable, await self._readable(durable, fresh), apply)
            for message in messages:
                if message.metadata.num_delivered > 1:
                    await self._one(durable, message, lambda received: apply([received]))

        self._pulls.append((durable, handle, limits))

    def raw(self, durable_name: str, handler: MessageHandler, limits: PullLimits) -> None:
        """Raw messages of an own work queue: the handler acks or naks every one itself."""
        durable = self._own(durable_name)
        self._replayable(durable, self._queue_again)
        self._pulls.append((durable, handler, limits))

    async def pull(
        self, durable_name: str, handler: MessageHandler, limits: PullLimits
    ) -> PullLoop:
        """As `raw`, from now on, until what this returns is stopped."""
        return await self._loop(self._own(durable_name), handler, limits)

    async def bury(self, durable_name: str, message: Msg, reason: str) -> None:
        """Move a work queue's message that can never be used to the dead letters."""
        await self._retrying.bury(self._own(durable_name), message, reason)

    async def _loop(
        self, durable: Durable, handler: MessageHandler, limits: PullLimits
    ) -> PullLoop:
        client = self._connection.client
        loop = PullLoop(client, durable.stream, durable.name, handler, limits)
        await loop.start()
        return loop

    def _own(self, name: str) -> Durable:
        durable = find_durable(name)
        service = self._connection.service
        if durable.service != service:
            raise ValueError(f"{name} belongs to {durable.service}, not to {service}")
        for result in ("ok", "retried", "dead"):  # there from the start: no news is a zero
            metrics.events_consumed.labels(service, name, result)
        return durable

    # -- dead letters, tried again by request ----------------------------------------------------

    def _replayable(self, durable: Durable, again: Again) -> None:
        async def answer(body: dict[str, Any]) -> dict[str, Any]:
            try:
                return await replay(self._connection.jetstream, self._replays, body)
            except CannotReplay as error:
                raise RequestRefused(str(error)) from error

        if not self._replays:
            self._rpc.answer(rpc_replay(self._connection.service), answer)
        self._replays[durable.name] = again

    async def _queue_again(self, letter: RawStreamMsg) -> None:
        """Back into the service's own work queue, as a new message."""
        subject = (letter.headers or {}).get("x-dead-subject", "")
        id_ = f"replay-{letter.seq}-{secrets.token_hex(8)}"
        raise_if(await self._announcing.put([Message(subject, id_, letter.data or b"")]))

    # -- one message, one batch ------------------------------------------------------------------

    async def _one(self, durable: Durable, message: Msg, handler: Handler) -> None:
        try:
            received = _received(message)
        except Unreadable as error:
            return await self._retrying.bury(durable, message, str(error))
        reach("consume-before-handler")
        try:
            name = f"{durable.name} {message.subject}"
            seen = tracing.received(name, message.headers or {}, **tracing.message(received.id))
            with self._timed(durable), seen:
                await handler(received)
        except Exception as error:
            _tell(error, f"{durable.name}: {message.subject} {received.id}")
            return await self._retrying.retry_or_bury(durable, message, error)
        return await self._ack_all(durable, [message])

    async def _batch(self, durable: Durable, readable: _Readable, apply: BatchHandler) -> None:
        if not readable:
            return
        reach("consume-before-handler")
        try:
            with self._timed(durable):
                await apply([received for _, received in readable])
            _trace_batch(durable, readable)
        except Exception as error:
            _tell(error, f"{durable.name}: a batch of {len(readable)}")
            for message, _ in readable:
                await self._retrying.retry_or_bury(durable, message, error)
        else:
            await self._ack_all(durable, [message for message, _ in readable])

    async def _readable(self, durable: Durable, messages: list[Msg]) -> _Readable:
        readable = []
        for message in messages:
            try:
                readable.append((message, _received(message)))
            except Unreadable as error:
                await self._retrying.bury(durable, message, str(error))
        return readable

    def _timed(self, durable: Durable) -> AbstractContextManager[Any]:
        return metrics.event_seconds.labels(self._connection.service, durable.name).time()

    async def _ack_all(self, durable: Durable, messages: list[Msg]) -> None:
        reach("consume-before-ack")
        for message in messages:
            await self._connection.client.publish(message.reply, b"+ACK")
        service = self._connection.service
        metrics.events_consumed.labels(service, durable.name, "ok").inc(len(messages))


def _trace_batch(durable: Durable, batch: _Readable) -> None:
    """A span for each event of a batch: that it was applied, in the trace it belongs to."""
    if tracing.active is None:
        return
    for message, received in batch:
        headers, name = message.headers or {}, f"{durable.name} {message.subject}"
        if "traceparent" in headers:
            with tracing.received(name, headers, **tracing.message(received.id)):
                pass


def _tell(error: Exception, what: str) -> None:
    if isinstance(error, NotYet):
        log.info("%s comes too early and is tried again: %r", what, error)
    else:
        log.error("%s failed", what, exc_info=error)


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
