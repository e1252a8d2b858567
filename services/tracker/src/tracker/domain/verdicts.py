"""Was it a human, an image proxy or a machine?

Pure rules: a hit, what is known of its surroundings, and the time of its mail's acceptance go in, a
verdict comes out. The first rule that applies decides. RULES_VERSION grows with every change, so
that old hits can be judged again (`postfleet tracker rescore`).
"""

from dataclasses import dataclass
from functools import lru_cache

from crawleruseragents import is_crawler  # type: ignore[import-untyped]

from postfleet.events.tracking import Verdict
from tracker.domain.agents import (
    APPLE_MAIL_PRIVACY,
    IMAGE_PROXIES,
    MACHINE_WORDS,
    MAIL_SECURITY,
    Signature,
)
from tracker.domain.hits import Hit, HitKind
from tracker.domain.neighbours import ALONE, BURST, CANARY, NEAR_CANARY, Neighbours
from tracker.domain.networks import Published

RULES_VERSION = 2
TOO_FAST_MS = 2000  # nobody reads a mail this soon after the server took it
_PREFETCH_HEADERS = ("purpose", "sec-purpose", "x-moz")
#: Every browser sends both with a page it was told to open; their absence gives a script away.
_BROWSER_HEADERS = ("accept", "accept-language")
_BROWSERS = ("chrome/", "firefox/", "safari/", "edg/", "opr/")


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    reason: str

    @property
    def by_neighbours(self) -> bool:
        """Whether other hits of the delivery gave it away: such a finding may come later."""
        return self.reason in (CANARY, NEAR_CANARY, BURST)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`accepted_ms`: when the mail's server took responsibility; `network`: whose the address is."""

    accepted_ms: int
    network: Published | None = None
    canary: bool = False
    neighbours: Neighbours = ALONE


def judge(hit: Hit, known: Surroundings) -> Judgement:
    """Who made this hit."""
    if hit.kind in (HitKind.UNSUBSCRIBED, HitKind.RESUBSCRIBED):
        return Judgement(Verdict.HUMAN, "what is confirmed is always honoured")
    agent = judge_agent(hit.user_agent)
    if reason := _machine(hit, known, agent):
        return Judgement(Verdict.BOT, reason)
    network = known.network
    if agent.verdict is Verdict.HUMAN and network is not None and _proxied(hit, network):
        return Judgement(Verdict.PROXY, f"network of {network.name}")
    return agent


def _machine(hit: Hit, known: Surroundings, agent: Judgement) -> str:
    """The first sign of a machine; "" if there is none."""
    if known.canary:
        return CANARY
    if hit.method == "HEAD":
        return "HEAD request"
    if not hit.user_agent.strip():
        return "no user agent"
    if any("prefetch" in hit.headers.get(name, "").lower() for name in _PREFETCH_HEADERS):
        return "prefetch"
    if agent.verdict is Verdict.BOT:
        return agent.reason
    if known.network is not None and known.network.kind is Verdict.BOT:
        return f"network of {known.network.name}"
    if hit.at_ms - known.accepted_ms < TOO_FAST_MS:
        return f"less than {TOO_FAST_MS / 1000:g} s after delivery"
    if hit.kind is HitKind.CLICKED and _dressed_up(hit):
        return "a browser's name without a browser's headers"
    return known.neighbours.reason(hit.at_ms, hit.user_agent)


def _proxied(hit: Hit, network: Published) -> bool:
    """A provider's network loads pictures for its users; who follows a link from there is a user."""
    return network.kind is Verdict.PROXY and hit.kind is HitKind.OPENED


def _dressed_up(hit: Hit) -> bool:
    agent = hit.user_agent.lower()
    if not any(name in agent for name in _BROWSERS):
        return False
    return not any(hit.headers.get(name) for name in _BROWSER_HEADERS)


@lru_cache(maxsize=4096)
def judge_agent(user_agent: str) -> Judgement:
    """What the user agent alone tells."""
    lowered = user_agent.lower()
    if machine := _first(MAIL_SECURITY, lowered):
        return Judgement(Verdict.BOT, machine.name)
    if user_agent.strip() == APPLE_MAIL_PRIVACY:
        return Judgement(Verdict.PROXY, "Apple Mail Privacy Protection")
    if proxy := _first(IMAGE_PROXIES, lowered):
        return Judgement(Verdict.PROXY, proxy.name)
    if is_crawler(user_agent):
        return Judgement(Verdict.BOT, "known crawler")
    if word := MACHINE_WORDS.search(lowered):
        return Judgement(Verdict.BOT, f"calls itself {word[0]}")
    return Judgement(Verdict.HUMAN, "no sign of a machine")


def _first(signatures: tuple[Signature, ...], lowered: str) -> Signature | None:
    return next((s for s in signatures if s.needle in lowered), None)
