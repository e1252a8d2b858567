"""What a pool of connections is fed with: mails of one batch, and how they are told what became of them."""

from typing import Protocol

from dispatcher.domain.outcomes import Phase
from dispatcher.transport import Mail, Refused, Result
from postfleet.smtp import PermanentFailure, SmtpFailure

TOO_LATE = "its day was over before its turn came"


class CannotConnect(Exception):
    """No session could be had. `first` is True for the one mail that stands for the failure."""

    def __init__(self, cause: Exception, *, first: bool) -> None:
        super().__init__(str(cause))
        self.reply = cause.reply if isinstance(cause, SmtpFailure) else None
        self.phase = Phase.AUTH if isinstance(cause, PermanentFailure) else Phase.CONNECT
        self.first = first


class Feed(Protocol):
    """Mails of one batch. All of its methods are called from within the event loop."""

    @property
    def urgent(self) -> bool:
        """Goes before what is not."""

    @property
    def left(self) -> int:
        """How many `take` may still give."""

    @property
    def over(self) -> bool:
        """Too late for its mails, those that were taken too: none may begin now."""

    def take(self) -> Mail | None:
        """The next one; None when there is none left."""

    def settle(self, mail: Mail, result: Result | CannotConnect) -> None:
        """What became of it; `mail.ours` tells whether its attempt is written down."""

    def refuse(self, why: CannotConnect | Refused) -> None:
        """None of those that were not taken can be sent now."""
