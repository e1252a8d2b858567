"""`postfleet plan`: a campaign run forward."""

from typing import Annotated, Any

import typer
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.output import AsJson, console, print_json

_MOST_ROWS = 40


def plan(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="A campaign's id.")],
    without_domain: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN", help="As if this domain's senders dropped out; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a campaign forward: when it finishes, mails a day, and the load of each sender."""
    api, path = Api.from_environment(), f"/campaigns/{campaign}/plan"
    found = api.call("GET", path, params={"without_domain": without_domain or []})
    if as_json:
        print_json(found)
        return
    for line in summary(found):
        console.print(line, markup=False, soft_wrap=True)
    _table("day", ((one["day"], one["mails"]) for one in found["days"]))
    loads = sorted(found["senders"], key=lambda one: -one["mails"])
    _table("sender", ((one["email_address"], one["mails"]) for one in loads))
    for one in found["excluded"][:_MOST_ROWS]:
        console.print(f"{one['sender_id']} is left out: {one['detail']}", markup=False)


def summary(found: dict[str, Any]) -> list[str]:
    """The forecast in a few lines."""
    without = ", ".join(found["without_domains"])
    lines = [f"without {without}:"] if without else []
    lines.append(f"{found['mails']} mails to {found['leads']} leads, first {found['starts_at']}")
    if found["finishes_at"]:
        lines.append(f"finishes {found['finishes_at']}")
    else:
        lines.append(f"does not finish: {found['never_sent']} leads get no mail")
    return [*lines, f"assumes: {found['assumes']}"]


def _table(name: str, rows: Any) -> None:
    table = Table(Column(name), Column("mails", justify="right"))
    every = list(rows)
    for label, mails in every[:_MOST_ROWS]:
        table.add_row(str(label), str(mails))
    if len(every) > _MOST_ROWS:
        table.add_row(f"and {len(every) - _MOST_ROWS} more (--json shows all)", "")
    if every:
        console.print(table)
