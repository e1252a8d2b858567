"""Simulated receiving servers: what they answer, and what comes back later."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from dispatcher.domain.draws import fraction
from dispatcher.domain.outcomes import Phase
from postfleet.smtp import SmtpReply
from postfleet_cli.simulate.options import DAY_MS, HOUR_MS, MINUTE_MS, Options
from postfleet_cli.simulate.people import SimLead
from postfleet_cli.simulate.senders import SimSender

_GREYLIST_MS = 5 * MINUTE_MS
_PER_HOUR = {"yahoo.com": 600, "web.de": 400}  # what the throttling ones take of everybody
_FULL, _INVALID = 0.005, 0.02
_REPLIES, _LATE_DSN, _COMPLAINTS, _OUT_OF_OFFICE = 0.03, 0.007, 0.0002, 0.04


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply that decided, and in which phase it came."""

    reply: SmtpReply
    phase: Phase


_ACCEPTED = Answer(SmtpReply(250, "2.0.0 Ok"), Phase.FINAL)
_AUTH = Answer(SmtpReply(535, "5.7.8 Authentication credentials invalid"), Phase.AUTH)
_NOBODY = Answer(SmtpReply(550, "5.1.1 No such user here"), Phase.RCPT)
_BUSY = Answer(SmtpReply(421, "4.7.28 Unusual rate of mail, try again later"), Phase.RCPT)
_GREY = Answer(SmtpReply(451, "4.7.1 Greylisted, please try again in 300 seconds"), Phase.RCPT)
_BOX_FULL = Answer(SmtpReply(452, "4.2.2 Mailbox full"), Phase.RCPT)


class Receivers:
    def __init__(self, options: Options) -> None:
        self._scenarios = options.scenarios
        self._chance = Random(f"{options.seed} receivers")  # noqa: S311 - no secret
        self._seed = options.seed
        self._seen: dict[tuple[int, str], int] = {}
        self._taken: dict[tuple[str, int], int] = {}
        self.throttled = 0

    def answer(self, lead: SimLead, sender: SimSender, attempt: int, at_ms: int) -> Answer:
        """What the servers say to this attempt."""
        if sender.broken[0] <= at_ms < sender.broken[1]:
            return _AUTH
        if "throttling" in self._scenarios and self._over(lead.domain, at_ms):
            self.throttled += 1
            return _BUSY
        fate = fraction(self._seed, "fate", lead.id)
        if fate < _INVALID:
            return _NOBODY
        if "greylisting" in self._scenarios and self._grey(lead, sender, at_ms):
            return _GREY
        if fate < _INVALID + _FULL and attempt == 1:
            return _BOX_FULL
        return _ACCEPTED

    def later(self, at_ms: int) -> Iterator[tuple[int, str]]:
        """What follows an acceptance: (when, what)."""
        chance = self._chance
        point = chance.random()
        if point < _REPLIES:
            yield at_ms + chance.randint(HOUR_MS // 2, 2 * DAY_MS), "reply"
        elif point < _REPLIES + _LATE_DSN and "late-dsn" in self._scenarios:
            yield at_ms + chance.randint(HOUR_MS, 2 * DAY_MS), "dsn"
        elif point > 1 - _COMPLAINTS:
            yield at_ms + chance.randint(HOUR_MS, DAY_MS), "complaint"
        if "out-of-office" in self._scenarios and chance.random() < _OUT_OF_OFFICE:
            yield at_ms + chance.randint(MINUTE_MS // 6, HOUR_MS), "out-of-office"

    def _over(self, domain: str, at_ms: int) -> bool:
        most = _PER_HOUR.get(domain)
        if most is None:
            return False
        key = (domain, at_ms // HOUR_MS)
        if self._taken.get(key, 0) >= most:
            return True
        self._taken[key] = self._taken.get(key, 0) + 1
        return False

    def _grey(self, lead: SimLead, sender: SimSender, at_ms: int) -> bool:
        """One company in three greylists who it has not seen, by sender and recipient."""
        if not lead.domain.startswith("company") or int(lead.domain[7:10]) % 3:
            return False
        first = self._seen.setdefault((sender.number, lead.id), at_ms)
        return at_ms < first + _GREYLIST_MS
