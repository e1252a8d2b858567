"""`postfleet keys`: the master key that seals every secret."""

from typing import Any

import typer
from rich.progress import Progress

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import console

app = typer.Typer(no_args_is_help=True, help="The master key that seals every secret.")


@app.callback()
def keys() -> None:
    """Keep `keys` a group, although it has one command."""


@app.command()
def rotate() -> None:
    """Seal every stored secret with the newest key of MASTER_KEY; nothing is interrupted.

    First restart the services with MASTER_KEY=<new>,<old>, then run this. When it has ended well,
    <old> can be taken away.
    """
    api = Api.from_environment()
    rewrapped, unreadable, cursor = 0, list[str](), None
    with Progress(transient=True) as progress:
        task = progress.add_task("sealing again", total=None)
        while True:
            page: dict[str, Any] = api.call(
                "POST", "/sender-accounts/rotate-keys", json={"cursor": cursor}
            )
            rewrapped += page["rewrapped"]
            unreadable += page["unreadable"]
            progress.update(task, advance=page["rewrapped"] + page["unchanged"])
            cursor = page["next_cursor"]
            if cursor is None:
                break
    console.print(f"{rewrapped} senders are sealed with key {page['key_id']} now", markup=False)
    if unreadable:
        lines = [f"  {sender_id}: set its password again" for sender_id in unreadable]
        raise Refused(ExitCode.REFUSED, "these open with no key of MASTER_KEY:", *lines)
