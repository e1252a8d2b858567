"""`postfleet dead-letters`: what a consumer could not use, why, and giving it another try."""

import asyncio
import secrets
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError
from rich.table import Table

from postfleet.topology import DEAD_LETTERS
from postfleet_cli import bus_apply, streams
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_json

app = typer.Typer(
    no_args_is_help=True,
    help="What a consumer could not use after five deliveries, and why. Reads NATS at NATS_URL.",
)
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="As `dead-letters list` shows it.")]
Numbers = Annotated[list[int] | None, typer.Argument(metavar="NUMBER...")]
AllOf = Annotated[str | None, typer.Option("--durable", help="Every dead letter of this consumer.")]
_NO_MESSAGE = 10037  # JetStream's code: it is gone already


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`number` is its place in the stream; `sequence` the place of the original in its own."""

    number: int
    stored_at: str
    durable: str
    subject: str
    event_id: str
    reason: str
    deliveries: str
    stream: str
    sequence: str

    @classmethod
    def of(cls, message: RawStreamMsg) -> "DeadLetter":
        """Read the headers that the bus writes beside the original ones."""
        headers = message.headers or {}
        return cls(
            number=message.seq or 0,
            stored_at=message.time.isoformat(timespec="seconds") if message.time else "",
            durable=headers.get("x-dead-durable", ""),
            subject=headers.get("x-dead-subject", ""),
            event_id=headers.get("ce-id", ""),
            reason=headers.get("x-dead-reason", ""),
            deliveries=headers.get("x-dead-deliveries", ""),
            stream=headers.get("x-dead-stream", ""),
            sequence=headers.get("x-dead-sequence", ""),
        )


@app.command("list")
def list_letters(
    durable: Annotated[str | None, typer.Option(help="Only those of this consumer.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, oldest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show them, oldest first: number, consumer, subject and the reason."""
    letters = asyncio.run(_list(f"dead.{durable}.>" if durable else "dead.>", limit))
    if as_json:
        print_json([asdict(letter) for letter in letters])
        return
    table = Table("number", "since", "consumer", "subject", "reason")
    for letter in letters:
        row = (str(letter.number), letter.stored_at, letter.durable, letter.subject, letter.reason)
        table.add_row(*row)
    console.print(table if letters else "no dead letters")


@app.command()
def show(number: Number, as_json: AsJson = False) -> None:
    """Show one with its headers and body."""
    message = asyncio.run(_get(number))
    body = (message.data or b"").decode(errors="replace")
    if as_json:
        letter = asdict(DeadLetter.of(message))
        print_json({**letter, "headers": message.headers or {}, "body": body})
        return
    for name, value in (message.headers or {}).items():
        console.print(f"{name}: {value}", markup=False, soft_wrap=True)
    console.print(f"\n{body}", markup=False, soft_wrap=True)


@app.command()
def replay(numbers: Numbers = None, all_of: AllOf = None) -> None:
    """Publish them again where they came from, then remove them from the dead letters.

    Every consumer of the subject hears the event again under its old id; those that have applied
    it do nothing. Mend the cause first, or it comes back with five more deliveries.
    """
    if not numbers and not all_of:
        raise typer.BadParameter("name the NUMBERs to replay, or --durable NAME for all of one")
    for line in asyncio.run(_replay(numbers or [], all_of)):
        console.print(line, markup=False)


@app.command()
def drop(
    numbers: Numbers = None,
    all_of: AllOf = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove them for good: nobody will hear of them again. Asks first."""
    if not numbers and not all_of:
        raise typer.BadParameter("name the NUMBERs to drop, or --durable NAME for all of one")
    letters = asyncio.run(_find(numbers or [], all_of))
    for letter in letters:
        line = f"{letter.number}: {letter.subject} for {letter.durable}: {letter.reason}"
        console.print(line, markup=False, soft_wrap=True)
    if letters and not yes:
        typer.confirm(f"Drop {len(letters)} dead letters for good?", abort=True)
    asyncio.run(_drop(letters))
    console.print(f"dropped {len(letters)} dead letters", markup=False)


async def _list(subject: str, limit: int) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    async with bus_apply.connection() as client:
        async for message in streams.after(client, DEAD_LETTERS.name, 0, subject):
            letters.append(DeadLetter.of(message))
            if len(letters) == limit:
                break
    return letters


async def _get(number: int) -> RawStreamMsg:
    async with bus_apply.connection() as client:
        return await streams.one(client.jetstream(), DEAD_LETTERS.name, number)


async def _named(client: Client, numbers: list[int], durable: str | None) -> list[RawStreamMsg]:
    """The dead letters with these numbers, and all of the durable. Raises Refused for a wrong one."""
    jetstream = client.jetstream(timeout=20)
    messages = [await streams.one(jetstream, DEAD_LETTERS.name, n) for n in dict.fromkeys(numbers)]
    if durable:
        stored = streams.after(client, DEAD_LETTERS.name, 0, f"dead.{durable}.>")
        messages += [m async for m in stored if m.seq not in numbers]
    return messages


async def _replay(numbers: list[int], durable: str | None) -> list[str]:
    async with bus_apply.connection() as client:
        messages = await _named(client, numbers, durable)
        jetstream = client.jetstream(timeout=20)
        return [await _replay_one(jetstream, message) for message in messages]


async def _find(numbers: list[int], durable: str | None) -> list[DeadLetter]:
    async with bus_apply.connection() as client:
        return [DeadLetter.of(message) for message in await _named(client, numbers, durable)]


async def _drop(letters: list[DeadLetter]) -> None:
    """Those that are gone meanwhile are no error."""
    async with bus_apply.connection() as client:
        jetstream = client.jetstream(timeout=20)
        for letter in letters:
            try:
                await jetstream.delete_msg(DEAD_LETTERS.name, letter.number)
            except APIError as error:
                if error.err_code != _NO_MESSAGE:
                    raise _refused(letter, error) from error
            except (TimeoutError, NatsError) as error:
                raise _refused(letter, error) from error


async def _replay_one(jetstream: JetStreamContext, message: RawStreamMsg) -> str:
    letter = DeadLetter.of(message)
    if not letter.subject or not letter.stream:
        raise Refused(
            ExitCode.REFUSED, f"dead letter {letter.number} does not say where it came from"
        )
    # The event keeps its id, which makes it harmless where it was applied; the message gets a new
    # one, or JetStream would drop it as a duplicate of the first.
    headers = {k: v for k, v in (message.headers or {}).items() if _is_original(k)}
    headers["Nats-Msg-Id"] = f"replay-{letter.number}-{secrets.token_hex(8)}"
    body = await _whole_body(jetstream, message, letter)
    try:
        await jetstream.publish(letter.subject, body, stream=letter.stream, headers=headers)
        await jetstream.delete_msg(DEAD_LETTERS.name, letter.number)
    except (TimeoutError, NatsError) as error:
        raise _refused(letter, error) from error
    return f"replayed {letter.number}: {letter.subject} for {letter.durable}"


async def _whole_body(
    jetstream: JetStreamContext, message: RawStreamMsg, letter: DeadLetter
) -> bytes:
    """A body that did not fit beside the reason was cut; the whole is where it came from."""
    size = (message.headers or {}).get("x-dead-bytes")
    if size is None:
        return message.data or b""
    try:
        original = await jetstream.get_msg(letter.stream, seq=int(letter.sequence))
    except NotFoundError:
        original = RawStreamMsg()
    except (TimeoutError, NatsError) as error:
        raise _refused(letter, error) from error
    if original.subject != letter.subject or str(len(original.data or b"")) != size:
        raise Refused(
            ExitCode.REFUSED,
            f"dead letter {letter.number} was cut, and the whole is not in {letter.stream} any more",
        )
    return original.data or b""


def _refused(letter: DeadLetter, error: Exception) -> Refused:
    return Refused(
        ExitCode.UNAVAILABLE, f"dead letter {letter.number}: {str(error) or 'no answer'}"
    )


def _is_original(header: str) -> bool:
    return not header.lower().startswith(("x-dead-", "nats-"))
