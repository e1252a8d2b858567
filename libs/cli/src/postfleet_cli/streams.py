"""Reads a stream message by message, in order, leaving no consumer behind."""

from collections.abc import AsyncIterator

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from postfleet_cli.exits import ExitCode, Refused


async def after(
    jetstream: JetStreamContext, stream: str, sequence: int, subject: str = ">"
) -> AsyncIterator[RawStreamMsg]:
    """The messages behind `sequence` that are there now."""
    while True:
        try:
            message = await jetstream.get_msg(stream, seq=sequence + 1, subject=subject, next=True)
        except NotFoundError:
            return
        except (TimeoutError, NatsError) as error:
            raise _unavailable(stream, error) from error
        sequence = message.seq or 0
        yield message


async def one(jetstream: JetStreamContext, stream: str, sequence: int) -> RawStreamMsg:
    """The message with this number. Raises Refused if there is none."""
    try:
        return await jetstream.get_msg(stream, seq=sequence)
    except NotFoundError:
        raise Refused(ExitCode.REFUSED, f"{stream} has no message {sequence}") from None
    except (TimeoutError, NatsError) as error:
        raise _unavailable(stream, error) from error


async def last_sequence(jetstream: JetStreamContext, stream: str) -> int:
    """The number of the newest message. Raises Refused if there is no such stream."""
    try:
        return (await jetstream.stream_info(stream)).state.last_seq
    except NotFoundError:
        raise Refused(
            ExitCode.UNAVAILABLE, f"NATS has no stream {stream}: run `postfleet bus apply`"
        ) from None
    except (TimeoutError, NatsError) as error:
        raise _unavailable(stream, error) from error


def _unavailable(stream: str, error: BaseException) -> Refused:
    return Refused(
        ExitCode.UNAVAILABLE, f"NATS does not give {stream}: {str(error) or 'no answer'}"
    )
