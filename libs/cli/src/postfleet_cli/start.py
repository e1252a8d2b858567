"""What the command `postfleet` runs. `up` does without the other commands, which take long to import."""

import errno
import os
import sys
from typing import Any, NoReturn

import typer

from postfleet_cli.exits import EXIT_CODES_HELP, ExitCode, Refused

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Commands(typer.Typer):
    """Ends a refused command with its exit code and one line for each reason."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run the command line."""
        try:
            return super().__call__(*args, **options)
        except Refused as refusal:
            _end(refusal)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _end(_no_room(error))


def _no_room(error: OSError) -> Refused:
    where = f"{error.filename}: " if error.filename else ""
    remedy = "Make room, or choose another place, and run it again: what was done is kept"
    return Refused(ExitCode.CANNOT_CREATE, f"{where}{os.strerror(error.errno or 0)}. {remedy}")


def _end(refusal: Refused) -> NoReturn:
    for line in refusal.lines:
        print(f"postfleet: {line}", file=sys.stderr)
    sys.exit(refusal.code)


def run() -> None:
    """Run the command line of this process."""
    if sys.argv[1:2] == ["up"]:
        _up_alone()()
    from postfleet_cli.main import app

    app()


def _up_alone() -> Commands:
    from postfleet_cli import examples
    from postfleet_cli.up import up

    app = Commands(
        name="postfleet",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=EXIT_CODES_HELP,
    )
    app.callback()(lambda: None)  # or a single command would have no name
    app.command()(up)
    examples.attach(app)
    return app
