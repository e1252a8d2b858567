"""`postfleet ledger`: what the ledger knows, said again."""

from typing import Annotated, Any

import typer

from postfleet_cli.api import Api
from postfleet_cli.output import AsJson, console, print_json
from postfleet_cli.periods import Until, period

app = typer.Typer(no_args_is_help=True, help="The dispatcher's ledger: the truth about every mail.")


@app.command()
def announce(
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="From 2026-11-21T15:00:00Z on, or from 2h, 7d, 4w ago."),
    ],
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Announce the settlements of a period again, under the ids that their events had.

    For a NATS whose store was lost, after `postfleet bus apply`. Consumers that have applied an
    event do nothing. It may be repeated.
    """
    first, last = period(since, until)
    assert first is not None
    body: dict[str, Any] = {"since": first.isoformat()}
    body |= {"until": last.isoformat()} if last else {}
    settlements = events = 0
    api = Api.from_environment()
    while True:
        said = api.call("POST", "/ledger/announce", json=body)
        settlements, events = settlements + said["settlements"], events + said["events"]
        if not said["next_cursor"]:
            break
        body["cursor"] = said["next_cursor"]
    if as_json:
        print_json({"settlements": settlements, "events": events})
    else:
        console.print(f"announced {events} events of {settlements} settlements again")
