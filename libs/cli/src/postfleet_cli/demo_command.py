"""`postfleet demo`: the demo campaign on a platform that runs with the sandbox beside it."""

import asyncio
import io
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from postfleet_cli.api import Api
from postfleet_cli.demo import run
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_json


def demo(
    sandbox: Annotated[
        str, typer.Option(metavar="URL", help="The control API of the sandbox.")
    ] = "http://sandbox:8000",
    as_json: AsJson = False,
) -> None:
    """Register two senders in the simulated mail world, run a campaign to 200 people, and compare.

    Made for trying: the sandbox must run beside the platform (compose profile `sandbox`). Run again,
    it goes on where it stopped. With --json: {"figures": [{"name", "postfleet", "ledger"}]}; exit
    code 1 if the two differ, as they do if the platform has sent other mail as well.
    """
    api = Api.from_environment()
    told = Console(file=io.StringIO()) if as_json else console
    figures = asyncio.run(run(api.url, api.key, sandbox.rstrip("/"), told))
    if as_json:
        print_json({"figures": [asdict(figure) for figure in figures]})
    if not figures:
        raise Refused(ExitCode.REFUSED, *_last_words(told))
    if not all(figure.equal for figure in figures):
        raise typer.Exit(ExitCode.REFUSED)


def _last_words(told: Console) -> list[str]:
    """What was not printed because JSON was asked for."""
    hidden = told.file
    return (
        hidden.getvalue().splitlines() if isinstance(hidden, io.StringIO) else ["nothing was sent"]
    )
