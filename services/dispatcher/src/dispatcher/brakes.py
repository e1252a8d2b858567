"""What holds mail back that may go otherwise: paces of destinations, breakers of senders, pauses
of what several senders share.

Looked at from memory, refreshed every few seconds; whoever takes a place takes it in the database.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from dispatcher import gauges
from dispatcher.domain.blast_radius import Factor
from dispatcher.domain.breaker import Breaker, State, concerns, look_again_at, state
from dispatcher.domain.destinations import NAMES
from dispatcher.domain.ledger import Item, Origin, Settled
from dispatcher.domain.meter import Meter
from dispatcher.domain.outcomes import ABOUT_THE_SENDER, Outcome
from dispatcher.domain.pacing import Pace, is_over, rate_at, room, turn_at
from dispatcher.domain.retries import postponed
from dispatcher.store.breakers import Breakers
from dispatcher.store.compare_and_set import TooBusy
from dispatcher.store.paces import Paces
from dispatcher.store.pauses import Pause, Pauses
from dispatcher.store.senders import Senders
from dispatcher.watch import factors_of_sender, template_of
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import from_ms, iso, now_ms

log = logging.getLogger(__name__)

_REFRESH_SECONDS = 2.0
_LOOK_AGAIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Held:
    """Who may go, and who waits: the reason says for what, and until when."""

    allowed: Sequence[Item]
    waiting: Sequence[Settled]


class Brakes:
    def __init__(
        self,
        *,
        paces: Paces,
        breakers: Breakers,
        pauses: Pauses,
        senders: Senders,
        destination_of: Callable[[str], str],
        saw: Callable[[Origin, Settled], None],
    ) -> None:
        self._paces, self._breakers, self._pauses = paces, breakers, pauses
        self._senders, self.destination_of, self._saw = senders, destination_of, saw
        self._paused: Mapping[Factor, Pause] = {}
        self._paced: Mapping[str, Pace] = {}
        self._broken: Mapping[str, Breaker] = {}
        self._meter = Meter()

    # -- looking -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs for ever: what other replicas have learnt is known here soon."""
        while True:
            try:
                await self.refresh()
            except PyMongoError as error:
                log.warning("paces and breakers are not read: %s", error)
            await asyncio.sleep(_REFRESH_SECONDS)

    async def refresh(self) -> None:
        self._paced, self._broken = await self._paces.all(), await self._breakers.all()
        self._paused = await self._pauses.active()
        now, rules = now_ms(), self._paces.rules
        for destination, pace in self._paced.items():
            if is_over(pace, now, rules):
                await self._paces.forget(destination, pace, now)
        self._show(now)

    async def rooms(self, destinations: Collection[str]) -> Mapping[str, int]:
        """How many mails may go to each paced destination now; the others are free."""
        now, rules = now_ms(), self._paces.rules
        rooms = {d: room(self._paced[d], now, rules) for d in destinations if d in self._paced}
        return {destination: n for destination, n in rooms.items() if n is not None}

    def bar(self, sender: SenderSnapshot, now: int) -> str:
        """Why this sender mails nobody now, whatever the template; "" if it may."""
        paused = self._pause_of(sender, "")
        if paused:
            return _told(paused)
        breaker = self._broken.get(sender.sender_id)
        if breaker is not None and state(breaker, now) is State.OPEN:
            return _told_of(breaker, now)
        return ""

    def _pause_of(self, sender: SenderSnapshot, template: str) -> Pause | None:
        if not self._paused:
            return None
        factors = factors_of_sender(sender, template)
        return next((pause for factor, pause in self._paused.items() if factor in factors), None)

    # -- before mail goes ----------------------------------------------------------------------------

    async def hold(self, origin: Origin, items: Sequence[Item], now: int) -> Held:
        """Of these, who may go now: as many as the pauses, breaker and paces have room for."""
        sender_id = origin.sender_id
        sender = self._senders.get(sender_id) if self._paused else None
        paused = self._pause_of(sender, template_of(origin)) if sender else None
        if paused:
            return Held((), _all("pause", items, _told(paused), now + _LOOK_AGAIN_MS, now))
        breaker = self._broken.get(sender_id)
        if breaker is not None and state(breaker, now) is State.OPEN:
            return Held((), _waiting(items, breaker, now))
        allowed, waiting = await self._in_pace(items, now)
        if breaker is None or not allowed:
            return Held(allowed, waiting)
        granted, breaker = await self._breakers.try_now(sender_id, len(allowed), now)
        return Held(allowed[:granted], [*waiting, *_waiting(allowed[granted:], breaker, now)])

    async def _in_pace(self, items: Sequence[Item], now: int) -> tuple[list[Item], list[Settled]]:
        if not self._paced:
            return list(items), []
        allowed: list[Item] = []
        waiting: list[Settled] = []
        by_destination: dict[str, list[Item]] = {}
        for item in items:
            by_destination.setdefault(self.destination_of(item.recipient), []).append(item)
        for destination, mine in by_destination.items():
            granted, pace = await self._take(destination, len(mine), now)
            allowed += mine[:granted]
            if pace is not None:
                waiting += self._paced_out(destination, mine[granted:], pace, now)
        return allowed, waiting

    async def _take(self, destination: str, wanted: int, now: int) -> tuple[int, Pace | None]:
        known = self._paced.get(destination)
        if known is None or is_over(known, now, self._paces.rules):
            return wanted, None
        return await self._paces.take(destination, wanted, now)

    def _paced_out(
        self, destination: str, items: Sequence[Item], pace: Pace, now: int
    ) -> Iterable[Settled]:
        rate = rate_at(pace, now, self._paces.rules)
        for place, item in enumerate(items):
            until = turn_at(pace, place, now, self._paces.rules)
            reason = (
                f"waits: destination {destination} paced to {rate:.0f}/hour "
                f"until {iso(from_ms(until))}"
            )
            gauges.waits.labels("pace").observe(max(0, until - now) / 1000)
            yield postponed(Settled(item, Outcome.POSTPONED, now), reason, until, now)

    # -- after mail went -----------------------------------------------------------------------------

    async def seen(self, origin: Origin, settled: Settled) -> None:
        """Learn from what became of a mail. Never fails: what is learnt is a help, not a fact."""
        if settled.same_outage:
            return  # learnt from another mail
        sender_id = origin.sender_id
        self._saw(origin, settled)
        try:
            if settled.outcome is Outcome.ACCEPTED:
                await self._went(sender_id, settled)
            elif settled.outcome in (Outcome.DEFERRED, Outcome.FAILED):
                await self._refused(sender_id, settled)
            elif sender_id in self._broken:
                known = settled.outcome is Outcome.UNKNOWN  # lost after the dot: it was open
                await (self._mended if known else self._breakers.untried)(sender_id)
        except (PyMongoError, TooBusy) as error:
            log.warning("what became of a mail is not learnt from: %s", error)

    async def not_sent(self, sender_id: str) -> None:
        """Somebody who was let through was not tried: if it was the probe, another may go."""
        if sender_id in self._broken:
            await self._breakers.untried(sender_id)

    async def _went(self, sender_id: str, settled: Settled) -> None:
        self._meter.add(self.destination_of(settled.item.recipient), settled.at)
        if sender_id in self._broken:
            await self._mended(sender_id)

    async def _mended(self, sender_id: str) -> None:
        await self._breakers.succeed(sender_id)
        self._broken = {k: b for k, b in self._broken.items() if k != sender_id}

    async def _refused(self, sender_id: str, settled: Settled) -> None:
        if concerns(settled.meaning, settled.phase):
            breaker = await self._breakers.fail(sender_id, settled.at, settled.reason[:200])
            self._broken = {**self._broken, sender_id: breaker}
        elif sender_id in self._broken:
            await self._mended(sender_id)  # it could connect and log in
        if _throttles(settled):
            await self.throttled(settled.item.recipient, settled.at)

    async def throttled(self, recipient: str, at: int) -> None:
        """The destination asked for less, in a reply or a notice. Saying it again changes nothing."""
        destination = self.destination_of(recipient)
        observed = self._meter.per_hour(destination, at)
        pace = await self._paces.throttle(destination, observed, at)
        if self._paced.get(destination) != pace:
            gauges.throttlings.labels(_label(destination)).inc()
            log.warning("%s throttles: paced to %.0f/hour", destination, pace.per_hour)
        self._paced = {**self._paced, destination: pace}
        self._show(now_ms())

    def _show(self, now: int) -> None:
        slowest: dict[str, float] = {}
        for destination, pace in self._paced.items():
            rate, label = rate_at(pace, now, self._paces.rules), _label(destination)
            slowest[label] = min(rate, slowest.get(label, rate))
        gauges.pace.clear()
        for label, rate in slowest.items():
            gauges.pace.labels(label).set(rate)
        gauges.paced.set(len(self._paced))
        states = [state(breaker, now) for breaker in self._broken.values()]
        for one in (State.OPEN, State.HALF_OPEN):
            gauges.breakers.labels(one.value).set(states.count(one))


def _throttles(settled: Settled) -> bool:
    """Said about a recipient, or while one was there: by the words, or by 421 (RFC 5321 §4.2.3)."""
    early = {phase.value for phase in ABOUT_THE_SENDER}
    return settled.phase not in early and (
        settled.meaning == "rate_limited" or settled.reply_code == 421
    )


def _waiting(items: Sequence[Item], breaker: Breaker, now: int) -> list[Settled]:
    return _all("breaker", items, _told_of(breaker, now), look_again_at(breaker, now), now)


def _told_of(breaker: Breaker, now: int) -> str:
    until = iso(from_ms(look_again_at(breaker, now)))
    return (
        f"waits: the sender's server failed {breaker.failures} times in a row, "
        f"tried again at {until}: {breaker.reason}"
    )


def _told(pause: Pause) -> str:
    return f"waits: {pause.factor.kind} {pause.factor.value} is paused: {pause.reason}"


def _all(cause: str, items: Sequence[Item], reason: str, until: int, now: int) -> list[Settled]:
    for _ in items:
        gauges.waits.labels(cause).observe(max(0, until - now) / 1000)
    return [postponed(Settled(i, Outcome.POSTPONED, now), reason, until, now) for i in items]


def _label(destination: str) -> str:
    return destination if destination in NAMES else "other"
