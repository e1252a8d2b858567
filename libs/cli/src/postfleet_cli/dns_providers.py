"""`postfleet dns-providers`: accounts at which the records of our domains can be changed."""

import os
from typing import Annotated

import typer
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(
    no_args_is_help=True,
    help="Accounts at DNS providers: the records of every domain in their zones are applied there.",
)

#: what each needs, and the variable that may hold it: secrets are no arguments, for others see those
_SECRETS = {
    "cloudflare": {"token": "CLOUDFLARE_TOKEN"},
    "digitalocean": {"token": "DIGITALOCEAN_TOKEN"},
    "route53": {
        "access_key_id": "AWS_ACCESS_KEY_ID",
        "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    },
}
Name = Annotated[str, typer.Argument(metavar="NAME", help="Yours for this account.")]


@app.command()
def add(
    name: Name,
    provider: Annotated[str, typer.Argument(help="cloudflare, digitalocean or route53.")],
    as_json: AsJson = False,
) -> None:
    """Add an account; its secrets are read from CLOUDFLARE_TOKEN and so on, else asked for."""
    if provider not in _SECRETS:
        raise Refused(ExitCode.USAGE, f"{provider!r}: one of {', '.join(_SECRETS)}")
    credentials = {
        field: os.environ.get(variable) or typer.prompt(variable, hide_input=True)
        for field, variable in _SECRETS[provider].items()
    }
    body = {"name": name, "provider": provider, "credentials": credentials}
    made = Api.from_environment().call("POST", "/dns-providers", json=body)
    if as_json:
        print_json(made)
    else:
        print_document(made)


@app.command("list")
def list_accounts(as_json: AsJson = False) -> None:
    """Show the accounts; their secrets are never shown."""
    found = list(Api.from_environment().items("/dns-providers", 100))
    if as_json:
        print_json(found)
        return
    table = Table(Column("account", no_wrap=True), "provider", "since")
    for each in found:
        table.add_row(each["name"], each["provider"], each["created_at"])
    console.print(table if found else "no accounts yet: `postfleet dns-providers add --help`")


@app.command()
def remove(name: Name, as_json: AsJson = False) -> None:
    """Forget an account; the records that are there stay."""
    gone = Api.from_environment().call("DELETE", f"/dns-providers/{name}")
    if as_json:
        print_json(gone)
        return
    console.print(f"{gone['name']}: {gone['state']}", markup=False)
