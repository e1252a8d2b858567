"""Paces of destinations in virtual time, by the dispatcher's own rules."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from dispatcher.domain import pacing
from dispatcher.domain.meter import Meter
from dispatcher.domain.pacing import Pace, PaceRules


class Throttles:
    """Who asked for less gets less; `granted` and `taken` are kept for the auditor."""

    def __init__(self, tick_ms: int) -> None:
        self._rules = PaceRules(burst_ms=tick_ms)
        self._paces: dict[str, Pace] = {}
        self._meter = Meter()
        self.halvings: Counter[str] = Counter()
        self.granted: dict[tuple[int, str], int] = {}

    def rooms(self, destinations: Collection[str], now: int) -> Mapping[str, int]:
        """How many may go to each paced destination now."""
        found = {}
        for name in sorted(destinations):
            room = pacing.room(self._paces.get(name), now, self._rules)
            if room is not None:
                found[name] = self.granted[now, name] = room
        return found

    def take(self, destinations: Iterable[str], now: int) -> None:
        """These mails go."""
        for name, wanted in Counter(destinations).items():
            if name in self._paces:
                _, self._paces[name] = pacing.take(self._paces[name], wanted, now, self._rules)

    def went(self, destination: str, at: int) -> None:
        """A mail was accepted there."""
        self._meter.add(destination, at)

    def throttled(self, destination: str, at: int) -> None:
        """The destination asked for less."""
        before = self._paces.get(destination)
        observed = self._meter.per_hour(destination, at)
        after = pacing.throttled(before, observed, at, self._rules)
        if after != before:
            self.halvings[destination] += 1
        self._paces[destination] = after
