"""A service's dead letters, tried once more by the service itself.

Who asks names a dead letter and no more: what it says is read from the stream, where only this
service can have put it. So asking lets nobody forge an event, and no other consumer hears it again.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nats.errors import Error as NatsError
from nats.js.api import RawStreamMsg
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from postfleet.cloudevents import Received, Unreadable, parse
from postfleet.topology import DEAD_LETTERS

log = logging.getLogger(__name__)

Again = Callable[[RawStreamMsg], Awaitable[None]]


class CannotReplay(Exception):
    """The text is for the operator: why it stays a dead letter."""


async def replay(
    jetstream: JetStreamContext, own: Mapping[str, Again], body: Any
) -> dict[str, Any]:
    """Try the dead letter `subject`, `number` again. Raises CannotReplay; the letter is kept.

    Each dead letter has a subject of its own, so that a service may read its own and no other's.
    """
    subject, number = str(body.get("subject", "")), body.get("number")
    family, _, rest = subject.partition(".")
    again = own.get(rest.partition(".")[0])
    if family != "dead" or again is None:
        raise CannotReplay("the dead letter is of another service")
    letter = await _letter(jetstream, subject)
    if letter.seq != number:
        raise CannotReplay("the dead letter is not there any more")
    if (letter.headers or {}).get("x-dead-bytes"):
        raise CannotReplay("it was cut: use `postfleet dead-letters replay`, which has the whole")
    try:
        await again(letter)
    except Exception as error:
        log.exception("dead letter %s failed again", number)
        raise CannotReplay(f"it failed again: {type(error).__name__}: {error}"[:500]) from error
    return {"replayed": number}


async def _letter(jetstream: JetStreamContext, subject: str) -> RawStreamMsg:
    try:
        return await jetstream.get_msg(DEAD_LETTERS.name, subject=subject, direct=True)
    except NotFoundError as error:
        raise CannotReplay("the dead letter is not there any more") from error
    except (TimeoutError, NatsError) as error:
        raise CannotReplay(f"NATS does not give it: {str(error) or 'no answer'}") from error


def received_of(letter: RawStreamMsg) -> Received[Any]:
    """The event under its old id: who has applied it does nothing. Raises CannotReplay."""
    headers = letter.headers or {}
    try:
        event = parse(headers.get("x-dead-subject", ""), headers, letter.data or b"")
    except Unreadable as error:
        raise CannotReplay(str(error)) from error
    sequence = headers.get("x-dead-sequence", "0")
    return Received(
        event=event,
        id=headers.get("ce-id") or f"{headers.get('x-dead-stream')}-{sequence}",
        source=headers.get("ce-source", ""),
        sequence=int(sequence) if sequence.isdecimal() else 0,
    )
