"""`postfleet mailboxes`: mailboxes on the own mail server."""

from typing import Annotated, Any

import typer
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(
    no_args_is_help=True,
    help="Mailboxes on the own mail server: the recommended way to get a sender.",
)


@app.command()
def add(
    address: Annotated[str, typer.Argument(help="Such as alex@example.org; the domain is ours.")],
    display_name: Annotated[str, typer.Option(help="As recipients see it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a mailbox with a random password, which only the sender registry can fetch."""
    prefix, at, domain = address.rpartition("@")
    if not at:
        raise Refused(ExitCode.USAGE, f"{address!r}: write the whole address, such as a@b.example")
    body: dict[str, Any] = {"domain": domain, "prefix": prefix, "display_name": display_name}
    made = Api.from_environment().call("POST", "/mailboxes", json=body)
    if as_json:
        print_json(made)
    else:
        print_document(made)


@app.command("add-app")
def add_app(
    domain: Annotated[str, typer.Argument(help="A verified domain.")],
    name: Annotated[str, typer.Argument(metavar="APP", help="The application's name.")],
    prefix: Annotated[str, typer.Option(help="Write from this name, not from APP.app.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a mailbox for an application and print its variables; the password is shown only now."""
    body = {"domain": domain, "app": name, "prefix": prefix}
    made = Api.from_environment().call("POST", "/mailboxes/apps", json=body)
    if as_json:
        print_json(made)
        return
    for variable, value in made["env"].items():
        print(f"{variable}={value}")


@app.command("list")
def list_mailboxes(
    domain: Annotated[str, typer.Option(help="Only of this domain.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the mailboxes and how far each is."""
    every = Api.from_environment().items("/mailboxes", limit)
    found = [box for box in every if domain.lower() in ("", box["domain"])]
    if as_json:
        print_json(found)
        return
    table = Table(Column("address", no_wrap=True), "state", "name", "error")
    for box in found:
        error = (box.get("error") or {}).get("reason", "")
        table.add_row(box["address"], box["state"], box["display_name"], error)
    console.print(table if found else "no mailboxes yet: `postfleet mailboxes add --help`")


@app.command()
def remove(
    address: Annotated[str, typer.Argument(help="The mailbox.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a mailbox: no more mail, no more log-ins. The mail that is there stays on the disk."""
    if not yes:
        typer.confirm(f"Remove {address}?", abort=True)
    params = {"confirm": address}
    gone = Api.from_environment().call("DELETE", f"/mailboxes/{address}", params=params)
    if as_json:
        print_json(gone)
        return
    console.print(f"{gone['address']}: {gone['state']}", markup=False)
