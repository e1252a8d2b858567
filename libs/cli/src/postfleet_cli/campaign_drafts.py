"""A campaign asked for question by question: `postfleet campaigns create --interactive`."""

from collections.abc import Sequence
from typing import Any

import typer

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused

_CONDITIONS = "always, not_replied, replied, opened, not_opened, clicked, not_clicked"


def ask(api: Api) -> dict[str, Any]:
    """The campaign's JSON. What is asked for on standard error leaves standard output to --json."""
    senders = list(api.items("/sender-accounts", 500))
    if not senders:
        raise Refused(ExitCode.REFUSED, "no senders yet: `postfleet senders add --help`")
    draft: dict[str, Any] = {"name": _text("Name")}
    draft["senders"] = _senders(senders)
    draft["steps"] = _steps()
    draft["tracking"] = {
        "clicks": _yes("Count clicks (links go through your address)?", True),
        "opens": _yes("Count opens (a pixel; some filters dislike it)?", False),
    }
    draft["check_reply"] = _yes("Stop writing to who replies?", True)
    draft["schedule"] = _schedule()
    draft["postal_address"] = _text("Your postal address (at the end of every mail)")
    return draft


def _senders(known: Sequence[dict[str, Any]]) -> list[str]:
    for one in known:
        typer.echo(f"  {one['email_address']}  {one.get('status', '')}", err=True)
    answer = _text("Senders: addresses, domains or tags with commas between; all", "all")
    if answer == "all":
        return [one["id"] for one in known]
    ids = {one["email_address"]: one["id"] for one in known}
    return [ids.get(name.strip(), name.strip()) for name in answer.split(",") if name.strip()]


def _steps() -> list[dict[str, Any]]:
    steps = [{"delay": 0, "subject": _text("Subject"), "body_text": _body()}]
    while _yes("Another step after it?", False):
        days = typer.prompt("Days after the step before", 3, type=float, err=True)
        condition = _text(f"It goes if ({_CONDITIONS})", "not_replied")
        subject = _text("Subject; empty for Re: and the first one", "")
        steps.append(
            {
                "delay": days * 86_400,
                "condition": condition,
                "subject": subject,
                "body_text": _body(),
            }
        )
    return steps


def _schedule() -> dict[str, Any]:
    zone = _text("Time zone (IANA name)", "UTC")
    window = _text("From what time to what time a day, such as 09:00-17:00; any", "any")
    schedule: dict[str, Any] = {"timezone": zone}
    if window != "any":
        schedule["windows"] = [[part.strip() for part in window.split("-")]]
    if _yes("Only Monday to Friday?", True):
        schedule["days"] = [0, 1, 2, 3, 4]
    return schedule


def _body() -> str:
    typer.echo(
        "Text, with {{ first_name | default: 'there' }} and the like; ends at a dot:", err=True
    )
    lines: list[str] = []
    while (line := typer.prompt("", "", prompt_suffix="", show_default=False, err=True)) != ".":
        lines.append(line)
    return "\n".join(lines) + "\n"


def _text(question: str, default: str | None = None) -> str:
    return str(typer.prompt(question, default, err=True))


def _yes(question: str, default: bool) -> bool:
    return typer.confirm(question, default, err=True)
