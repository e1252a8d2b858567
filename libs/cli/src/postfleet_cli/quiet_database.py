"""Runs the embedded database as this project wants it: its defaults cost more than most commands.

It writes no log line per command, and serves each connection with a thread of its own, instead of
handing every command from an event loop to a thread and back. What is asked most is done by
`plain_statements`.
"""

import logging
import sys

from nx_27017.nx_27017 import main  # type: ignore[import-untyped]

from postfleet_cli import plain_statements

if __name__ == "__main__":
    logging.disable(logging.INFO)
    plain_statements.install()
    sys.argv.append("--threaded")
    sys.exit(main())
