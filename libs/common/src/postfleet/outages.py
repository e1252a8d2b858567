"""What is raised when a dependency is away: nobody's fault, and right to try again."""

from collections.abc import Sequence

from pymongo.errors import AutoReconnect


class NotConfirmed(Exception):
    """JetStream did not confirm these messages; publishing them again under their ids is safe."""

    def __init__(self, ids: Sequence[str], cause: BaseException | None) -> None:
        super().__init__(f"{len(ids)} messages were not confirmed: {cause!r}")
        self.ids = tuple(ids)


class Unavailable(Exception):
    """A dependency did not answer; trying again later is right."""


class NotYet(Exception):
    """An event came before what it is about: usual between streams, and right to try again."""


#: An outage is nobody's fault: the event comes back until it is over, however often.
DEPENDENCY_DOWN = (AutoReconnect, NotConfirmed, Unavailable)
