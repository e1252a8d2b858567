"""The life of an address of ours on the mail server, from the wish to the end.

    requested -> written -> live           (live: a log-in succeeded; mailboxes only)
        |           |         |
        +-> failed  +---------+-> deleting -> deleted

Every step may be run twice: the files and the database end up the same.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    MAILBOX = "mailbox"
    ALIAS = "alias"
    GROUP = "group"  # an address for several people
    CATCH_ALL = "catch-all"  # `@one.test`: whatever reaches nobody else in the domain


class State(StrEnum):
    REQUESTED = "requested"
    WRITTEN = "written"  # in the mail server's files
    LIVE = "live"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


#: from which states a state may be entered; the store's compare-and-set obeys it
COMES_FROM: dict[State, frozenset[State]] = {
    State.REQUESTED: frozenset({State.FAILED, State.DELETED}),  # the name is free again
    State.WRITTEN: frozenset({State.REQUESTED}),
    State.LIVE: frozenset({State.WRITTEN}),
    State.FAILED: frozenset({State.REQUESTED, State.WRITTEN}),
    State.DELETING: frozenset({State.REQUESTED, State.WRITTEN, State.LIVE, State.FAILED}),
    State.DELETED: frozenset({State.DELETING}),
}

_RETRY_SECONDS = (5, 15, 30, 60)  # refused log-ins cost: Dovecot and fail2ban punish them
GIVE_UP_AFTER_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Address:
    """Whatever has a name. `generation` counts how often it was created."""

    address: str
    kind: Kind
    domain: str
    state: State
    generation: int
    created_at: int  # epoch ms, like all times here
    attempts: int = 0
    give_up_at: int = 0
    written_at: int = 0  # 0 while the mail server's files do not have it, as far as we know
    error_code: str = ""
    error_reason: str = ""
    # mailboxes
    display_name: str = ""
    request_id: str = ""
    password_hash: str = ""
    sealed_password: str = ""
    # all others
    targets: tuple[str, ...] = ()
    revision: int = 0  # how often the targets were changed
    intended: tuple[str, ...] = ()  # targets that are being written, or were when we crashed

    def same_step(self, other: "Address") -> bool:
        """Whether nothing has happened to the address since `other` was read."""
        return (self.state, self.generation) == (other.state, other.generation)


def retry_delay_ms(attempts: int) -> int:
    """How long to wait after so many failures."""
    return _RETRY_SECONDS[min(attempts, len(_RETRY_SECONDS) - 1)] * 1000
