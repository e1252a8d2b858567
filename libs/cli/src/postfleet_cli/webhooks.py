"""`postfleet webhooks`: where events are posted to."""

from typing import Annotated

import typer
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(no_args_is_help=True, help="Events posted to addresses of yours.")
Id = Annotated[str, typer.Argument(metavar="ID", help="As `webhooks list` shows it.")]


@app.command("list")
def list_webhooks(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the webhooks and how they are."""
    found = list(Api.from_environment().items("/webhooks", limit))
    if as_json:
        print_json(found)
        return
    table = Table(Column("id", no_wrap=True), "url", "state", "reason")
    for webhook in found:
        table.add_row(*(str(webhook[name]) for name in ("id", "url", "state", "reason")))
    console.print(table if found else "no webhooks yet: `postfleet webhooks add --help`")


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="https:// only.")],
    event: Annotated[
        list[str] | None, typer.Option(help="Such as reply.detected; several times. All if none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Post events from now on. The signing secret is shown once: keep it."""
    body = {"url": url, "events": event or []}
    created = Api.from_environment().call("POST", "/webhooks", json=body)
    if as_json:
        print_json(created)
    else:
        print_document(created)


@app.command()
def remove(webhook: Id, as_json: AsJson = False) -> None:
    """Post nothing more, and forget what waits."""
    Api.from_environment().call("DELETE", f"/webhooks/{webhook}")
    if as_json:
        print_json({"id": webhook, "removed": True})
        return
    console.print(f"removed {webhook}", markup=False)


@app.command()
def log(webhook: Id, as_json: AsJson = False) -> None:
    """Show the last tries, newest first."""
    found = Api.from_environment().call("GET", f"/webhooks/{webhook}/deliveries")["items"]
    if as_json:
        print_json(found)
        return
    table = Table("at", "type", "try", "status", "error", "state")
    for entry in found:
        names = ("at", "type", "attempt", "status", "error", "state")
        table.add_row(*(str(entry[name]) for name in names))
    console.print(table if found else "nothing was posted yet")


@app.command()
def replay(
    webhook: Id,
    since: Annotated[str, typer.Argument(help="2026-11-21T08:00:00Z; 30 days back at most.")],
    as_json: AsJson = False,
) -> None:
    """Post again what came since then; a webhook that was disabled begins again."""
    path = f"/webhooks/{webhook}/replay"
    told = Api.from_environment().call("POST", path, json={"since": since})
    if as_json:
        print_json(told)
    else:
        console.print(f"{told['messages']} messages are queued again", markup=False)
