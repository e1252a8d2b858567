"""The command `postfleet`."""

import sys
from typing import Any

import typer

from postfleet_cli.exits import EXIT_CODES_HELP, Refused
from postfleet_cli.up import up


class _Commands(typer.Typer):
    """Ends a refused command with its exit code and one line for each reason."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run the command line."""
        try:
            return super().__call__(*args, **options)
        except Refused as refusal:
            for line in refusal.lines:
                print(f"postfleet: {line}", file=sys.stderr)
            sys.exit(refusal.code)


app = _Commands(
    name="postfleet",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES_HELP,
    help="Send mail through a fleet of sender mailboxes.",
)
app.command()(up)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    print(installed("postfleet-cli"))
