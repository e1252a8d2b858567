"""`postfleet tracker`: judge opens and clicks again."""

import time
from typing import Annotated, Any

import typer

from postfleet_cli.api import Api
from postfleet_cli.output import AsJson, console, print_document, print_json
from postfleet_cli.periods import Since, Until, period

app = typer.Typer(no_args_is_help=True, help="Opens and clicks: who was a human.")

_LOOK_EVERY = 0.5  # seconds


@app.callback()
def tracker() -> None:
    """Opens and clicks: who was a human."""


@app.command()
def rescore(
    since: Since = None,
    until: Until = None,
    campaign: Annotated[
        str | None, typer.Option(metavar="ID", help="Of this campaign only.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would change.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the kept opens and clicks again, by the rules and lists of the version that runs.

    Verdicts and figures are corrected, and each change is told as verdict.changed. It goes on when
    this command is ended; repeating it changes nothing more.
    """
    api = Api.from_environment()
    first, last = period(since, until)
    body: dict[str, Any] = {"dry_run": dry_run}
    body |= {"since": first.isoformat()} if first else {}
    body |= {"until": last.isoformat()} if last else {}
    body |= {"campaign_id": campaign} if campaign else {}
    found = api.call("POST", "/rescores", json=body)
    if not as_json:
        console.print(f"ordered: {found['id']}", markup=False)
    while found["state"] != "done":
        time.sleep(_LOOK_EVERY)
        found = api.call("GET", f"/rescores/{found['id']}")
    if as_json:
        print_json(found)
    else:
        print_document(found)
