"""`postfleet campaigns`: create, fill, start, watch."""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.campaign_drafts import ask
from postfleet_cli.campaign_import import import_leads
from postfleet_cli.campaign_plan import plan
from postfleet_cli.campaign_reports import Id, preview, stats, try_out
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(no_args_is_help=True, help="Sequences of mails to many recipients.")

_EXAMPLE = """A campaign is a JSON file, for instance:

\b
    {"name": "Spring", "senders": ["<id from senders list>"], "steps": [
      {"delay": 0, "variants": [
        {"name": "A", "subject": "Hello {{ first_name | default: 'there' }}", "body_text": "..."},
        {"name": "B", "subject": "A question", "body_text": "...", "body_html": "<p>...</p>"}],
       "winner": {"metric": "replied", "minimum_sample": 100, "after": "PT4H"}},
      {"delay": "P3D", "condition": "not_replied", "body_text": "..."}],
     "schedule": {"timezone": "Europe/Paris", "days": [0, 1, 2, 3, 4],
                  "windows": [["09:00", "17:00"]]},
     "tracking": {"opens": false, "clicks": true}, "check_reply": true,
     "postal_address": "Acme, 1 Main St, 12345 Sampletown"}

\b
A delay is in seconds, or P3D for three days; the condition is judged when it is over:
    always, not_replied, replied, opened, not_opened, clicked, not_clicked
A step whose condition is not met is passed over. A step without a subject answers the first mail.
Instead of texts a step or a variant may have the "template_id" of a stored template, whose texts it
takes over (postfleet templates list).

\b
Then: postfleet campaigns import ID leads.csv
      postfleet campaigns preview ID --lead ada@example.org
      postfleet campaigns test ID --to me@example.org
      postfleet campaigns start ID
"""


@app.command("list")
def list_campaigns(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    status: Annotated[
        str | None, typer.Option(help="Only draft, running, paused or completed ones.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only those with this in their name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the campaigns and their status."""
    wanted = {key: value for key, value in (("status", status), ("name", name)) if value}
    campaigns = list(Api.from_environment().items("/campaigns", limit, wanted))
    if as_json:
        print_json(campaigns)
        return
    if not campaigns:
        hint = (
            "none like that" if wanted else "no campaigns yet: `postfleet campaigns create --help`"
        )
        console.print(hint, markup=False)
        return
    columns = (Column("name", overflow="fold"), "status", Column("steps", justify="right"))
    table = Table(Column("id", no_wrap=True), *columns)
    for campaign in campaigns:
        steps = str(len(campaign.get("steps", [])))
        table.add_row(campaign["id"], escape(campaign["name"]), campaign["status"], steps)
    console.print(table)


@app.command(epilog=_EXAMPLE)
def create(
    file: Annotated[
        typer.FileText | None,
        typer.Argument(metavar="FILE", help="JSON; - reads standard input."),
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask for everything instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create a campaign from a JSON file, or by questions; it sends nothing until it is started."""
    if (file is None) is not interactive:
        raise typer.BadParameter("give a FILE, or --interactive")
    api = Api.from_environment()
    wanted = ask(api) if file is None else _read(file)
    campaign = api.call("POST", "/campaigns", json=wanted)
    _print(campaign, as_json)
    if not as_json:
        console.print(f"next: postfleet campaigns import {campaign['id']} leads.csv", markup=False)


def _read(file: typer.FileText) -> Any:
    try:
        return json.load(file)
    except ValueError as error:
        raise Refused(ExitCode.REFUSED, f"{file.name} is no JSON: {error}") from error


@app.command()
def show(campaign: Id, as_json: AsJson = False) -> None:
    """Show a campaign: its steps, schedule, senders, and which variants have won."""
    _print(Api.from_environment().call("GET", f"/campaigns/{campaign}"), as_json)


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
def duplicate(
    campaign: Id,
    name: Annotated[str | None, typer.Option(help="Of the copy.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new draft with the same steps, schedule and senders, and nobody in it."""
    body = {"name": name} if name else {}
    path = f"/campaigns/{campaign}/duplicate"
    _print(Api.from_environment().call("POST", path, json=body), as_json)


@app.command()
def delete(
    campaign: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a draft and its leads. What has sent mail is kept: pause it instead."""
    if not yes:
        typer.confirm(f"Delete the draft {campaign} and its leads?", abort=True, err=True)
    Api.from_environment().call("DELETE", f"/campaigns/{campaign}")
    _print({"id": campaign, "status": "deleted"}, as_json)


app.command("import")(import_leads)
app.command()(stats)
app.command()(plan)
app.command()(preview)
app.command("test")(try_out)


def _act(campaign: str, verb: str, as_json: bool) -> None:
    _print(Api.from_environment().call("POST", f"/campaigns/{campaign}/{verb}"), as_json)


def _print(document: Any, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_document(document)
