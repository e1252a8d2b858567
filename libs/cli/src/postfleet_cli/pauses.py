"""`postfleet pauses`: what was paused because the senders that share it degraded together."""

from typing import Annotated

import typer
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(
    no_args_is_help=True,
    help="Domains, providers and links that were paused because their senders degraded together.",
)


@app.command("list")
def list_pauses(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what is paused, since when and why; and what was resumed."""
    found = list(Api.from_environment().items("/pauses", limit))
    if as_json:
        print_json(found)
        return
    table = Table(Column("id", no_wrap=True), "what", "status", "since", "senders", "reason")
    for one in found:
        what, senders = f"{one['kind']} {one['value']}", str(len(one["senders"]))
        table.add_row(one["id"], what, one["status"], one["paused_at"], senders, one["reason"])
    console.print(table if found else "nothing is paused, and nothing was")


@app.command()
def resume(
    pause: Annotated[str, typer.Argument(metavar="ID", help="As `pauses list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Let its mail go again, once the cause is mended. Trouble met from now on pauses it again."""
    resumed = Api.from_environment().call("POST", f"/pauses/{pause}/resume")
    if as_json:
        print_json(resumed)
    else:
        print_document(resumed)
