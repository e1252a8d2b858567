"""`postfleet filters`: answers of absence, forwarding and moves of mailboxes on the own server."""

from typing import Annotated, Any

import typer
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(
    no_args_is_help=True,
    help="What a mailbox does by itself: vacation, forwarding, moves (a Sieve script).",
)

Mailbox = Annotated[str, typer.Argument(metavar="ADDRESS", help="A mailbox of ours.")]
When = Annotated[
    list[str] | None,
    typer.Option("--if", metavar="HEADER:TEXT", help="Only mail whose header contains the text."),
]
Stop = Annotated[bool, typer.Option("--stop", help="Leave out the rules that follow.")]
Include = Annotated[bool, typer.Option("--include", help="Run a person's own active script first.")]


@app.command("list")
def list_filters(
    domain: Annotated[str, typer.Option(help="Only of this domain.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show which mailboxes have filters of ours."""
    wanted = {"domain": domain.lower()} if domain else {}
    found = list(Api.from_environment().items("/filters", limit, wanted))
    if as_json:
        print_json(found)
        return
    table = Table(Column("mailbox", no_wrap=True), "rules", "vacation")
    for each in found:
        table.add_row(each["mailbox"], str(len(each["rules"])), "yes" if each["vacation"] else "")
    console.print(table if found else "no filters yet: `postfleet filters vacation --help`")


@app.command()
def show(address: Mailbox, as_json: AsJson = False) -> None:
    """Show a mailbox's filters as the mail server has them."""
    _print(Api.from_environment().call("GET", f"/filters/{address}"), as_json)


@app.command()
def vacation(
    address: Mailbox,
    text: Annotated[str, typer.Option(help="The answer; empty: no vacation any more.")],
    subject: Annotated[str, typer.Option(help="Made from the mail's own if not given.")] = "",
    days: Annotated[int, typer.Option(min=1, help="Each person gets it once in so many.")] = 7,
    first_day: Annotated[str, typer.Option(help="Such as 2026-12-20.")] = "",
    last_day: Annotated[str, typer.Option(help="Such as 2027-01-03.")] = "",
    also: Annotated[
        list[str] | None, typer.Option(help="Another address of this person; repeatable.")
    ] = None,
    include: Include = False,
    as_json: AsJson = False,
) -> None:
    """Answer mail while somebody is away."""
    answer = {
        "text": text,
        "subject": subject,
        "days": days,
        "addresses": also or [],
        "first_day": first_day or None,
        "last_day": last_day or None,
    }
    _change(address, include, as_json, vacation=answer if text else None)


@app.command()
def forward(
    address: Mailbox,
    to: Annotated[list[str], typer.Option("--to", help="Where to; repeatable.")],
    when: When = None,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Keep the mail as well.")] = True,
    stop: Stop = False,
    include: Include = False,
    as_json: AsJson = False,
) -> None:
    """Forward all mail, or some of it, to other addresses."""
    rule = {"conditions": _conditions(when), "forward_to": to, "keep": keep, "stop": stop}
    _change(address, include, as_json, rule=rule)


@app.command()
def move(
    address: Mailbox,
    to: Annotated[str, typer.Option("--to", help="The folder; made if it is not there.")],
    when: When = None,
    stop: Stop = False,
    include: Include = False,
    as_json: AsJson = False,
) -> None:
    """Move all mail, or some of it, to a folder."""
    rule = {"conditions": _conditions(when), "move_to": to, "stop": stop}
    _change(address, include, as_json, rule=rule)


@app.command()
def remove(
    address: Mailbox,
    rule: Annotated[
        int | None, typer.Option(min=1, help="Only this rule, counted from 1 as `show` does.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take a mailbox's filters away, or one rule; a person's own script is left alone."""
    api = Api.from_environment()
    there = _without_rule(api, address, rule) if rule is not None else None
    if there and (there["rules"] or there["vacation"]):
        gone, said = api.call("PUT", f"/filters/{address}", json=there), f"rule {rule} is gone"
    else:
        gone = api.call("DELETE", f"/filters/{address}")
        said = gone["state"]
    if as_json:
        print_json(gone)
        return
    console.print(f"{address}: {said}", markup=False)


def _without_rule(api: Api, address: str, rule: int) -> dict[str, Any]:
    there = _there(api, address)
    if rule > len(there["rules"]):
        raise Refused(ExitCode.USAGE, f"{address} has {len(there['rules'])} rules")
    del there["rules"][rule - 1]
    return there


_UNCHANGED: dict[str, Any] = {}


def _change(
    address: str,
    include: bool,
    as_json: bool,
    *,
    rule: dict[str, Any] | None = None,
    vacation: dict[str, Any] | None = _UNCHANGED,
) -> None:
    api = Api.from_environment()
    wish = _there(api, address)
    if rule:
        wish["rules"].append(rule)
    if vacation is not _UNCHANGED:
        wish["vacation"] = vacation
    if not wish["rules"] and not wish["vacation"]:
        raise Refused(ExitCode.USAGE, f"to have no filters: `postfleet filters remove {address}`")
    wish["other_script"] = "include" if include else "refuse"
    _print(api.call("PUT", f"/filters/{address}", json=wish), as_json)


def _there(api: Api, address: str) -> dict[str, Any]:
    """What there is, as PUT takes it."""
    there = api.call("GET", f"/filters/{address}")
    if there["state"] == "changed_by_hand":
        raise Refused(ExitCode.REFUSED, f"our script of {address} was changed by hand: it is kept")
    return {"rules": there["rules"], "vacation": there["vacation"]}


def _conditions(when: list[str] | None) -> list[dict[str, str]]:
    found = []
    for each in when or []:
        header, colon, text = each.partition(":")
        if not (header.strip() and colon and text.strip()):
            raise Refused(ExitCode.USAGE, f"--if {each!r}: write HEADER:TEXT, such as Subject:news")
        found.append({"header": header.strip(), "text": text.strip()})
    return found


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_document(answer)
