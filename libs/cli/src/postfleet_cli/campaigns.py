"""`postfleet campaigns`: create, fill, start, watch."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(no_args_is_help=True, help="Sequences of mails to many recipients.")
Id = Annotated[str, typer.Argument(metavar="ID", help="As `campaigns list` shows it.")]

_EXAMPLE = """A campaign is a JSON file, for instance:

\b
    {"name": "Spring", "senders": ["<id from senders list>"], "steps": [
      {"delay": 0, "subject": "Hello {{ first_name | default: 'there' }}",
       "body_text": "...", "body_html": "<p>...</p>"},
      {"delay": "P3D", "condition": "not_replied", "subject": "Again", "body_text": "..."}],
     "tracking": {"opens": true, "clicks": true}, "check_reply": true}

\b
Then: postfleet campaigns import ID leads.csv
      postfleet campaigns start ID
"""


@app.command("list")
def list_campaigns(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the campaigns and their status."""
    campaigns = list(Api.from_environment().items("/campaigns", limit))
    if as_json:
        print_json(campaigns)
        return
    table = Table(Column("id", no_wrap=True), "name", "status")
    for campaign in campaigns:
        table.add_row(*(str(campaign.get(name, "")) for name in ("id", "name", "status")))
    console.print(table if campaigns else "no campaigns yet: `postfleet campaigns create --help`")


@app.command(epilog=_EXAMPLE)
def create(
    file: Annotated[
        typer.FileText, typer.Argument(metavar="FILE", help="JSON; - reads standard input.")
    ],
    as_json: AsJson = False,
) -> None:
    """Create a campaign from a JSON file; it sends nothing until it is started."""
    try:
        wanted = json.load(file)
    except ValueError as error:
        raise Refused(ExitCode.REFUSED, f"{file.name} is no JSON: {error}") from error
    _print(Api.from_environment().call("POST", "/campaigns", json=wanted), as_json)


@app.command("import")
def import_leads(
    campaign: Id,
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(metavar="FILE", help="CSV with a header row and a column `email`."),
    ],
    as_json: AsJson = False,
) -> None:
    """Add leads; every other column can be used in the templates.

    Rows that cannot be used are reported with number, field and reason; importing again adds
    nobody twice.
    """
    report = Api.from_environment().call(
        "POST",
        f"/campaigns/{campaign}/leads",
        content=iter(lambda: file.read(65_536), b""),
        headers={"Content-Type": "text/csv"},
    )
    if as_json:
        print_json(report)
        return
    console.print(import_summary(report), markup=False)
    for row in report.get("rows", []):
        line = f"row {row.get('row')}, {row.get('field')}: {row.get('reason')}"
        print(line, file=sys.stderr)


@app.command()
def start(campaign: Id, as_json: AsJson = False) -> None:
    """Start sending, as the schedule and the senders' limits allow."""
    _act(campaign, "start", as_json)


@app.command()
def pause(campaign: Id, as_json: AsJson = False) -> None:
    """Stop sending; what is in a server's hands already is finished."""
    _act(campaign, "pause", as_json)


@app.command()
def resume(campaign: Id, as_json: AsJson = False) -> None:
    """Go on sending where it stopped."""
    _act(campaign, "resume", as_json)


@app.command()
def stats(campaign: Id, as_json: AsJson = False) -> None:
    """Show how far it is and what came back."""
    _print(Api.from_environment().call("GET", f"/campaigns/{campaign}/stats"), as_json)


def import_summary(report: dict[str, Any]) -> str:
    """One line about an import."""
    return (
        f"{report['imported']} leads imported, {report['duplicates']} duplicates and "
        f"{report['invalid']} unusable rows left out"
    )


def _act(campaign: str, verb: str, as_json: bool) -> None:
    _print(Api.from_environment().call("POST", f"/campaigns/{campaign}/{verb}"), as_json)


def _print(document: Any, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_document(document)
