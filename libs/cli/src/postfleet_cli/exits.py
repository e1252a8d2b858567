"""How commands end: the exit codes of sysexits.h, and the one exception that carries them."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    REFUSED = 1  # the platform answered and said no
    USAGE = 2  # an unknown option or a missing argument
    UNAVAILABLE = 69  # a port is taken, a server does not answer
    CANNOT_CREATE = 73  # the data directory cannot be written
    NO_PERMISSION = 77  # the API key is unknown or lacks the scope
    CONFIG = 78  # a key or an address is missing or malformed


EXIT_CODES_HELP = (
    "Exit codes: 0 done, 1 refused by the platform, 2 wrong usage, 69 a port is taken or a server "
    "does not answer, 73 the data directory cannot be written, 77 the API key is unknown or lacks "
    "the scope, 78 a key or an address is missing or malformed."
)


class Refused(Exception):
    """Ends the command with `code`; every line says what is wrong and how to mend it."""

    def __init__(self, code: ExitCode, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.code, self.lines = code, lines
