"""What a test of a log-in can say: it works, or one of six codes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Code(StrEnum):
    """In the order of precedence: where several hold, the first one is told."""

    HOST_NOT_FOUND = "HOST_NOT_FOUND"
    TIMEOUT = "TIMEOUT"
    CONNECTION_REFUSED = "CONNECTION_REFUSED"
    SSL_ERROR = "SSL_ERROR"
    AUTH_FAILED = "AUTH_FAILED"
    CONNECTION_FAILED = "CONNECTION_FAILED"


def first_of(codes: Iterable[Code]) -> Code:
    """The one that is told, of at least one."""
    return min(codes, key=list(Code).index)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A log-in that worked. `certificate_until_ms` is 0 where there is no TLS."""

    detail: str
    certificate_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One protocol's result. `code` is None if and only if the log-in worked."""

    code: Code | None
    detail: str
    ms: int
    certificate_until_ms: int = 0
    steps: Mapping[str, int] = field(default_factory=dict)  # milliseconds, in their order

    @property
    def ok(self) -> bool:
        return self.code is None


class CheckFailed(Exception):
    """Ends a check. `detail` is for the operator: no text of the server, no secret."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail
