"""`postfleet keys`: the master key that seals every secret."""

from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_json

app = typer.Typer(no_args_is_help=True, help="The master key that seals every secret.")


@app.callback()
def keys() -> None:
    """Keep `keys` a group, although it has one command."""


@app.command()
def rotate(as_json: AsJson = False) -> None:
    """Seal every stored secret with the newest key of MASTER_KEY; nothing is interrupted.

    First restart the services with MASTER_KEY=<new>,<old>, then run this. When it has ended well,
    <old> can be taken away. It ends with 1 if secrets open with no key of MASTER_KEY. With --json:
    {"key_id", "rewrapped", "unchanged", "unreadable": [ids of senders]}.
    """
    done = _all_pages(Api.from_environment())
    if as_json:
        print_json(done)
    else:
        told = f"{done['rewrapped']} senders are sealed with key {done['key_id']} now"
        console.print(told, markup=False)
    if done["unreadable"]:
        lines = [f"  {sender_id}: set its password again" for sender_id in done["unreadable"]]
        raise Refused(ExitCode.REFUSED, "these open with no key of MASTER_KEY:", *lines)


def _all_pages(api: Api) -> dict[str, Any]:
    """Page after page, until the registry says that it was the last."""
    done: dict[str, Any] = {"key_id": "", "rewrapped": 0, "unchanged": 0, "unreadable": []}
    cursor = None
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("sealing again", total=None)
        while True:
            page = api.call("POST", "/sender-accounts/rotate-keys", json={"cursor": cursor})
            done["key_id"] = page["key_id"]
            for name in ("rewrapped", "unchanged", "unreadable"):
                done[name] += page[name]
            progress.update(task, advance=page["rewrapped"] + page["unchanged"])
            cursor = page["next_cursor"]
            if cursor is None:
                return done
