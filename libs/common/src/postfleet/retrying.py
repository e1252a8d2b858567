"""What becomes of a message that was not taken: again after a delay, or a dead letter."""

import logging
import random

from nats.aio.msg import Msg

from postfleet import metrics
from postfleet.connection import Connection
from postfleet.outages import DEPENDENCY_DOWN
from postfleet.publishing import size_on_wire
from postfleet.topology import DEAD_LETTERS, MAX_DELIVERIES, Durable

log = logging.getLogger(__name__)

_HEADERS_TO_COME = 200  # x-dead-bytes and what nats-py adds
_RETRY_DELAYS = (1.0, 5.0, 30.0, 120.0)  # seconds before deliveries 2…5, each ±50 %


def retry_delay(deliveries: int) -> float:
    """Seconds until the next delivery, after so many."""
    base = _RETRY_DELAYS[min(deliveries, len(_RETRY_DELAYS)) - 1]
    return base * random.uniform(0.5, 1.5)  # noqa: S311 (spreads load, guards nothing)


class Retrying:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def retry_or_bury(self, durable: Durable, message: Msg, error: Exception) -> None:
        deliveries = message.metadata.num_delivered
        if deliveries >= MAX_DELIVERIES and not isinstance(error, DEPENDENCY_DOWN):
            await self.bury(durable, message, f"{type(error).__name__}: {error}")
            return
        await message.nak(delay=retry_delay(deliveries))
        self._count(durable, "retried")

    async def bury(self, durable: Durable, message: Msg, reason: str) -> None:
        """To the dead letters, with reason and original headers; terminated only when stored."""
        sequence = message.metadata.sequence.stream
        kept_under = durable.part_of or durable.name
        headers = _headers(kept_under, message, reason)
        await self._connection.jetstream.publish(
            f"dead.{kept_under}.{message.subject}.{sequence}",
            self._cut(message.data, headers),
            stream=DEAD_LETTERS.name,
            headers=headers,
        )
        await message.term()
        self._count(durable, "dead")
        log.error("%s: dead letter %s: %s", durable.name, message.subject, reason)

    def _cut(self, body: bytes, headers: dict[str, str]) -> bytes:
        """The body, or as much of it as fits beside the headers; `x-dead-bytes` says so then.

        A publish over max_payload would end the connection for good, and with it the process.
        """
        limit = self._connection.client.max_payload
        room = max(0, limit - size_on_wire(b"", headers) - _HEADERS_TO_COME)
        if len(body) > room:
            headers["x-dead-bytes"] = str(len(body))  # the whole is at x-dead-sequence
        return body[:room]

    def _count(self, durable: Durable, result: str) -> None:
        metrics.events_consumed.labels(self._connection.service, durable.name, result).inc()


def _headers(kept_under: str, message: Msg, reason: str) -> dict[str, str]:
    """The original ones, but those that told JetStream how to store it (its batch), and why."""
    metadata = message.metadata
    original = {k: v for k, v in (message.headers or {}).items() if not k.startswith("Nats-")}
    return {
        **original,
        "Nats-Msg-Id": f"dead-{kept_under}-{metadata.sequence.stream}",
        "x-dead-reason": " ".join(reason.split())[:500],
        "x-dead-durable": kept_under,
        "x-dead-subject": message.subject,
        "x-dead-stream": metadata.stream,
        "x-dead-sequence": str(metadata.sequence.stream),
        "x-dead-deliveries": str(metadata.num_delivered),
    }
