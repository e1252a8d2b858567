"""The dead letters of all services, as the dashboard tends them: read, tried again, dropped.

The tracker may publish nobody's events: for another try it asks the service whose letter it is
(`postfleet.replaying`), by number.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from postfleet.bus import Bus
from postfleet.outages import Unavailable
from postfleet.rpc import RequestRefused
from postfleet.topology import DEAD_LETTERS, durable, rpc_replay

_GET = f"$JS.API.DIRECT.GET.{DEAD_LETTERS.name}"
_TIMEOUT = 5.0  # seconds
_REPLAY_TIMEOUT = 10.0  # as long as the server lets an answer take
_MAX_BYTES = 8_000_000  # of a page


class CannotTend(Exception):
    """The text is for the operator."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`number` is its place among the dead letters; `subject` that of the original."""

    number: int
    stored_at: datetime
    place: str
    durable: str
    subject: str
    event_id: str
    reason: str
    deliveries: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class DeadLetters:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def page(self, after: int, limit: int) -> list[DeadLetter]:
        """Up to `limit` letters behind this number, oldest first. Raises CannotTend."""
        request = {"seq": after + 1, "batch": limit, "max_bytes": _MAX_BYTES, "next_by_subj": ">"}
        return await self._read(request)

    async def get(self, number: int) -> DeadLetter:
        """Raises CannotTend, also where there is none of this number."""
        found = await self._read({"seq": number, "batch": 1, "next_by_subj": ">"})
        if not found or found[0].number != number:
            raise CannotTend(f"There is no dead letter {number}: it was dropped, or tried again.")
        return found[0]

    async def replay(self, number: int) -> None:
        """Have its service try it again, then drop it. Raises CannotTend; then it stays."""
        letter = await self.get(number)
        try:
            service = durable(letter.durable).service
        except KeyError:
            raise CannotTend(f"No consumer {letter.durable or 'of no name'} exists.") from None
        body = {"subject": letter.place, "number": number}
        try:
            await self._bus.request(rpc_replay(service), body, _REPLAY_TIMEOUT)
        except RequestRefused as error:
            raise CannotTend(f"Dead letter {number} stays: {error}.") from error
        except Unavailable as error:
            raise CannotTend(f"Dead letter {number} stays: {service} does not answer.") from error
        await self.drop(number)

    async def drop(self, number: int) -> None:
        """Remove it for good; one that is gone already is no error. Raises CannotTend."""
        try:
            await self._bus.jetstream.delete_msg(DEAD_LETTERS.name, number)
        except APIError as error:
            if await self._is_there(number):
                raise CannotTend(f"NATS does not drop it: {error.description}.") from error
        except (TimeoutError, NatsError, Unavailable) as error:
            raise CannotTend("NATS does not answer.") from error

    async def _is_there(self, number: int) -> bool:
        found = await self._read({"seq": number, "batch": 1, "next_by_subj": ">"})
        return bool(found) and found[0].number == number

    async def _read(self, request: dict[str, object]) -> list[DeadLetter]:
        try:
            client = self._bus.client
            inbox = client.new_inbox()
            answers = await client.subscribe(inbox)
        except (NatsError, Unavailable) as error:
            raise CannotTend("NATS does not answer.") from error
        found: list[DeadLetter] = []
        try:
            await client.publish(_GET, json.dumps(request).encode(), reply=inbox)
            while True:
                answer = await answers.next_msg(timeout=_TIMEOUT)
                headers = answer.headers or {}
                if "Nats-Sequence" in headers:
                    found.append(_letter(answer, headers))
                elif headers.get("Status") in ("204", "404"):  # the end of the batch
                    return found
                else:
                    raise CannotTend(headers.get("Description") or "NATS does not give them.")
        except (TimeoutError, NatsError) as error:
            raise CannotTend("NATS does not answer.") from error
        finally:
            await answers.unsubscribe()


def _letter(answer: Msg, headers: dict[str, str]) -> DeadLetter:
    return DeadLetter(
        number=int(headers["Nats-Sequence"]),
        stored_at=datetime.fromisoformat(headers["Nats-Time-Stamp"]),
        place=headers["Nats-Subject"],
        durable=headers.get("x-dead-durable", ""),
        subject=headers.get("x-dead-subject", ""),
        event_id=headers.get("ce-id", ""),
        reason=headers.get("x-dead-reason", ""),
        deliveries=headers.get("x-dead-deliveries", ""),
        headers={k: v for k, v in headers.items() if not k.lower().startswith("nats-")},
        body=answer.data,
    )
