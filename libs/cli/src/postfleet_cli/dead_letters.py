"""`postfleet dead-letters`: what a consumer could not use, why, and giving it another try."""

import asyncio
import secrets
from dataclasses import asdict, dataclass
from typing import Annotated, Any

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
_DELETE_FAILED = 10057  # JetStream's code: the message is gone, or cannot be deleted


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
        print_json(_plain(letters))
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
def replay(numbers: Numbers = None, all_of: AllOf = None, as_json: AsJson = False) -> None:
    """Publish them again where they came from, then remove them from the dead letters.

    Every consumer of the subject hears the event again under its old id; those that have applied
    it do nothing. Mend the cause first, or it comes back with five more deliveries. At the first
    that cannot be replayed it ends, with 1 (or 69 if NATS is away); those before it are replayed.
    With --json: {"replayed": [...], "left": [...]}, each as `dead-letters list` shows it.
    """
    if not numbers and not all_of:
        raise typer.BadParameter("name the NUMBERs to replay, or --durable NAME for all of one")
    asyncio.run(_replay(numbers or [], all_of, as_json))


@app.command()
def drop(
    numbers: Numbers = None,
    all_of: AllOf = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove them for good: nobody will hear of them again. Asks first.

    With --json, which asks nothing and wants --yes: {"dropped": [...], "gone": [...]}; `gone` are
    those that somebody else removed meanwhile.
    """
    if not numbers and not all_of:
        raise typer.BadParameter("name the NUMBERs to drop, or --durable NAME for all of one")
    if as_json and not yes:
        raise typer.BadParameter("--json asks nothing: add --yes to drop them for good")
    letters = asyncio.run(_find(numbers or [], all_of))
    if not as_json:
        _ask(letters, yes)
    dropped, gone = asyncio.run(_drop(letters))
    if as_json:
        print_json({"dropped": _plain(dropped), "gone": _plain(gone)})
        return
    console.print(f"dropped {len(dropped)} dead letters", markup=False)
    if gone:
        console.print(f"{len(gone)} were gone already", markup=False)


def _ask(letters: list[DeadLetter], yes: bool) -> None:
    """Show them, and ask unless it was said that nothing is to be asked."""
    for letter in letters:
        line = f"{letter.number}: {letter.subject} for {letter.durable}: {letter.reason}"
        console.print(line, markup=False, soft_wrap=True)
    if letters and not yes:
        typer.confirm(f"Drop {len(letters)} dead letters for good?", abort=True)


def _plain(letters: list[DeadLetter]) -> list[dict[str, Any]]:
    return [asdict(letter) for letter in letters]


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


async def _replay(numbers: list[int], durable: str | None, as_json: bool) -> None:
    """Says what was replayed also when one cannot be."""
    replayed: list[DeadLetter] = []
    async with bus_apply.connection() as client:
        messages = await _named(client, numbers, durable)
        try:
            for message in messages:
                letter = await _replay_one(client.jetstream(timeout=20), message)
                replayed.append(letter)
                if not as_json:
                    line = f"replayed {letter.number}: {letter.subject} for {letter.durable}"
                    console.print(line, markup=False)
        finally:
            if as_json:
                left = [DeadLetter.of(message) for message in messages[len(replayed) :]]
                print_json({"replayed": _plain(replayed), "left": _plain(left)})


async def _find(numbers: list[int], durable: str | None) -> list[DeadLetter]:
    async with bus_apply.connection() as client:
        return [DeadLetter.of(message) for message in await _named(client, numbers, durable)]


async def _drop(letters: list[DeadLetter]) -> tuple[list[DeadLetter], list[DeadLetter]]:
    """Dropped by us, and gone meanwhile, which is no error."""
    dropped: list[DeadLetter] = []
    gone: list[DeadLetter] = []
    async with bus_apply.connection() as client:
        for letter in letters:
            was_there = await _delete(client.jetstream(timeout=20), letter)
            (dropped if was_there else gone).append(letter)
    return dropped, gone


async def _delete(jetstream: JetStreamContext, letter: DeadLetter) -> bool:
    """False if it was gone already. Raises Refused if NATS does not delete it."""
    try:
        await jetstream.delete_msg(DEAD_LETTERS.name, letter.number)
    except APIError as error:
        if error.err_code == _DELETE_FAILED and not await _is_there(jetstream, letter):
            return False
        raise _refused(letter, error) from error
    except (TimeoutError, NatsError) as error:
        raise _refused(letter, error) from error
    return True


async def _is_there(jetstream: JetStreamContext, letter: DeadLetter) -> bool:
    try:
        await jetstream.get_msg(DEAD_LETTERS.name, seq=letter.number)
    except NotFoundError:
        return False
    except (TimeoutError, NatsError) as error:
        raise _refused(letter, error) from error
    return True


async def _replay_one(jetstream: JetStreamContext, message: RawStreamMsg) -> DeadLetter:
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
    except (TimeoutError, NatsError) as error:
        raise _refused(letter, error) from error
    await _delete(jetstream, letter)
    return letter


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
