"""How often the folders beside INBOX are looked into: INBOX itself tells of mail by IDLE."""

from dataclasses import dataclass

_WITHIN = 0.8  # of the time after which a mailbox is told to be stale: an answer takes time, too


@dataclass(slots=True)
class Pace:
    """For all mailboxes of a replica, which makes `looks_per_second` at most.

    `held` is how many it watches, or soon will. A small fleet is looked into every `idle_seconds`; a
    large one as seldom as it takes, but before its mailboxes would count as stale.
    """

    idle_seconds: float
    looks_per_second: float
    stale_seconds: float
    held: int = 0

    @property
    def seconds(self) -> float:
        """Between two looks into one mailbox."""
        busy = self.held / self.looks_per_second
        longest = max(self.idle_seconds, _WITHIN * self.stale_seconds)
        return min(max(self.idle_seconds, busy), longest)
