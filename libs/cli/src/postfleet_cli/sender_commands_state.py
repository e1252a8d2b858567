"""`postfleet senders show|validate|suspend|resume|delete|…`: one sender, or one domain of them."""

from typing import Annotated, Any

import typer

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_document, print_json

Which = Annotated[str, typer.Argument(metavar="SENDER", help="Its id, or its e-mail address.")]
Domain = Annotated[str, typer.Argument(help="For instance example.org.")]
Reason = Annotated[str, typer.Option(help="For whoever asks later.")]

_LOOK_AT = 100_000


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    for command in (show, validate, suspend, resume, delete):
        app.command()(command)
    app.command("rotate-password")(rotate_password)
    app.command("suspend-domain")(suspend_domain)
    app.command("resume-domain")(resume_domain)


def find(api: Api, which: str) -> dict[str, Any]:
    """The sender with this id or address. Raises Refused."""
    if "@" not in which:
        found: dict[str, Any] = api.call("GET", f"/sender-accounts/{which}")
        return found
    for sender in api.items("/sender-accounts", _LOOK_AT):
        if str(sender["email_address"]).lower() == which.lower():
            return sender
    raise Refused(ExitCode.REFUSED, f"there is no sender {which}")


def show(which: Which, as_json: AsJson = False) -> None:
    """Show all that is known of a sender; never its password."""
    _print(find(Api.from_environment(), which), as_json)


def validate(which: Which, as_json: AsJson = False) -> None:
    """Try its log-ins now, and show what came of it."""
    sender = _post(which, "validate")
    _print(sender if as_json else _short(sender, "validation", "hint"), as_json)


def suspend(which: Which, reason: Reason = "", as_json: AsJson = False) -> None:
    """Send nothing through it until it is resumed."""
    _print(_short(_post(which, "suspend", {"reason": reason})), as_json)


def resume(which: Which, as_json: AsJson = False) -> None:
    """End a suspension; a health below 20 becomes 20."""
    _print(_short(_post(which, "resume")), as_json)


def rotate_password(which: Which, as_json: AsJson = False) -> None:
    """Issue a new log-in for handing mail in over SMTP; the old one ends at once."""
    _print(_post(which, "rotate-password")["relay"], as_json)


def delete(
    which: Which,
    confirm: Annotated[
        str | None, typer.Option(help="Its e-mail address again, in place of the question.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete a sender for good: queued mail is not sent, its secrets are wiped."""
    api = Api.from_environment()
    sender = find(api, which)
    address = sender["email_address"]
    answer = confirm or typer.prompt(f"Deletion is irreversible. Repeat {address}")
    api.call("DELETE", f"/sender-accounts/{sender['id']}", params={"confirm": answer})
    if as_json:
        print_json({"id": sender["id"], "email_address": address, "deleted": True})
        return
    console.print(f"{address} is deleted", markup=False)


def suspend_domain(domain: Domain, reason: Reason = "", as_json: AsJson = False) -> None:
    """Suspend every sender of a domain, and those that are registered there later."""
    order = {"domain": domain, "reason": reason}
    _print(
        Api.from_environment().call("POST", "/sender-accounts/suspend-domain", json=order), as_json
    )


def resume_domain(domain: Domain, as_json: AsJson = False) -> None:
    """End it, for the senders that were suspended with the domain."""
    order = {"domain": domain}
    _print(
        Api.from_environment().call("POST", "/sender-accounts/resume-domain", json=order), as_json
    )


def _post(which: str, action: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    api = Api.from_environment()
    sender = find(api, which)
    answer: dict[str, Any] = api.call(
        "POST", f"/sender-accounts/{sender['id']}/{action}", json=body
    )
    return answer


def _short(sender: dict[str, Any], *more: str) -> dict[str, Any]:
    names = ("id", "email_address", "status", "status_reason", "health", *more)
    return {name: sender.get(name) for name in names}


def _print(document: Any, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_document(document)
