"""`postfleet send`: one mail, now or at its time."""

import base64
import mimetypes
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_json
from postfleet_cli.periods import instant_to_come
from postfleet_cli.templates import Data, data_of


def send(
    to: Annotated[list[str], typer.Option(help="A recipient; repeat it for several.")],
    author: Annotated[
        str, typer.Option("--from", metavar="SENDER", help="A sender's id or address.")
    ],
    subject: Annotated[
        str | None, typer.Option(help="The subject line; a template brings its own.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="The text; - reads it from standard input.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="A file with the HTML part.", exists=True, dir_okay=False)
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(metavar="ID[:VERSION]", help="The texts, as `postfleet templates` has them."),
    ] = None,
    data: Data = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option(help="A file to attach; repeat it.", exists=True, dir_okay=False),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="`Name: value`, one more header field; repeat it.")
    ] = None,
    category: Annotated[str, typer.Option(help="For the figures.")] = "transactional",
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Not before 2026-11-21T15:00:00Z, or in 30m, 2h, 7d."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            help="Repeating the command with the same key sends nothing twice.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send one mail; every recipient gets one of their own. Prints the delivery's id.

    \b
    postfleet send --to ada@example.org --from me@example.org --subject Hello --text "How are you?"
    postfleet send --to ada@example.org --from me@example.org --template welcome --data name=Ada
    postfleet why <the id that was printed>
    """
    if data and not template:
        raise Refused(ExitCode.USAGE, "--data fills a --template; there is none")
    body: dict[str, Any] = {"to": to, "from": author, "category": category}
    body |= {"subject": subject} if subject is not None else {}
    body |= _template(template) | {"data": data_of(data)} if template else {}
    body |= {"text": _text(text)} if text is not None else {}
    body |= {"html": html.read_text()} if html else {}
    body |= {"headers": dict(map(_field, header))} if header else {}
    body |= {"attachments": [_attachment(path) for path in attach]} if attach else {}
    body |= {"send_at": instant_to_come(at, datetime.now(UTC)).isoformat()} if at else {}
    headers = {"Idempotency-Key": key} if key else {}
    taken = Api.from_environment().call("POST", "/messages", json=body, headers=headers)
    if as_json:
        print_json(taken)
        return
    deliveries = taken.get("deliveries") or [{"id": taken["id"], "recipient": to[0]}]
    for one in deliveries:
        console.print(f"{one['id']}  {one['recipient']}", markup=False, soft_wrap=True)


def _template(text: str) -> dict[str, Any]:
    id_, colon, version = text.partition(":")
    if colon and not version.isdecimal():
        raise Refused(ExitCode.USAGE, f"--template {text!r}: write it as ID or ID:VERSION")
    return {"template_id": id_} | ({"template_version": int(version)} if colon else {})


def _text(text: str) -> str:
    return sys.stdin.read() if text == "-" else text


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise Refused(ExitCode.USAGE, f"--header {line!r}: write it as `Name: value`")
    return name.strip(), value.strip()


def _attachment(path: Path) -> dict[str, str]:
    kind, _ = mimetypes.guess_type(path.name)
    content = base64.b64encode(path.read_bytes()).decode()
    body = {"filename": path.name, "content": content}
    return body | ({"content_type": kind} if kind else {})
