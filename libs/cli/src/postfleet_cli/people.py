"""`postfleet people`: what is kept about a person, and removing it."""

from typing import Annotated
from urllib.parse import quote

import typer

from postfleet_cli.api import Api
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(no_args_is_help=True, help="Export and erase what is kept about a person.")
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="The person's mail address.")]


@app.command()
def export(address: Address, as_json: AsJson = False) -> None:
    """Show the mails, events, opens and clicks of a person, as far as they are still kept.

    `ledger` is what the dispatcher keeps: mails, where the person is a lead, and with which fields.
    """
    api, person = Api.from_environment(), quote(address, safe="@")
    found = api.call("GET", f"/people/{person}")
    found["ledger"] = api.call("GET", f"/deliveries/of/{person}")
    if as_json:
        print_json(found)
    else:
        print_document(found)


@app.command()
def erase(
    address: Address,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have every service remove what it keeps about a person. This cannot be undone.

    Who had unsubscribed or was suppressed stays suppressed.
    """
    if not yes:
        typer.confirm(f"Erase all that is kept about {address}?", abort=True)
    path = f"/people/{quote(address, safe='@')}"
    ordered = Api.from_environment().call("DELETE", path, params={"confirm": address})
    if as_json:
        print_json(ordered)
    else:
        console.print(f"ordered: {ordered['event_id']}", markup=False)
