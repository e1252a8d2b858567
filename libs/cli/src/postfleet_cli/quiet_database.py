"""Runs the embedded database without its log line per command, which costs as much as the command."""

import logging
import sys

from nx_27017.nx_27017 import main  # type: ignore[import-untyped]

if __name__ == "__main__":
    logging.disable(logging.INFO)
    sys.exit(main())
