"""`postfleet inbox`: what the inbox watcher makes of a mail."""

from pathlib import Path
from typing import Annotated, Any

import typer

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_json

app = typer.Typer(no_args_is_help=True, help="What arrived in the senders' mailboxes.")
_MAX_BYTES = 1_048_576  # of a larger mail the beginning is read, as the watcher does


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(metavar="FILE.eml", help="A mail as it was received.")],
    sender: Annotated[str, typer.Option(help="The id of the sender whose mailbox it is in.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say what a mail is, why, and which delivery it belongs to. Nothing is kept or changed."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_BYTES)
    except OSError as error:
        raise Refused(ExitCode.USAGE, f"{file}: {error.strerror}") from error
    mail = Api.from_environment().call(
        "POST", "/inbound/explain", content=raw, params={"sender": sender}
    )
    mail["file"] = str(file)
    if as_json:
        print_json(mail)
    else:
        for line in _lines(mail):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(mail: dict[str, Any]) -> list[str]:
    lines = [f"{mail['file']}: {mail['kind']} ({mail['why']})"]
    for recipient in mail["recipients"]:
        facts = (recipient[name] for name in ("address", "status", "severity", "category"))
        lines.append("  " + " ".join(fact for fact in facts if fact))
    match = mail["match"]
    if match:
        lines.append(
            f"  belongs to delivery {match['delivery_id']} to {match['recipient']}"
            f" (by {match['matched_by']}, confidence {match['confidence']:g})"
        )
    else:
        lines.append("  belongs to no delivery that the watcher knows")
    if mail["returns_on"]:
        lines.append(f"  its author is back on {mail['returns_on']}")
    return lines + [f"  | {line}" for line in mail["reply_text"].splitlines()]
