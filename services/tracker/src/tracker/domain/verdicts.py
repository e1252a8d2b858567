"""Was it a human, an image proxy or a machine?

Pure rules: a hit and the time of its mail's acceptance go in, a verdict comes out. The first rule
that applies decides. RULES_VERSION grows with every change, so that old hits can be judged again.
"""

from dataclasses import dataclass
from functools import lru_cache

from crawleruseragents import is_crawler  # type: ignore[import-untyped]

from postfleet.events import Verdict
from tracker.domain.agents import APPLE_MAIL_PRIVACY, IMAGE_PROXIES, MAIL_SECURITY, Signature
from tracker.domain.hits import Hit, HitKind

RULES_VERSION = 1
TOO_FAST_MS = 2000  # nobody reads a mail this soon after the server took it
_PREFETCH_HEADERS = ("purpose", "sec-purpose", "x-moz")


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    reason: str


def judge(hit: Hit, accepted_ms: int) -> Judgement:
    """Who made this hit on a mail that its server took responsibility for at `accepted_ms`."""
    if hit.kind is HitKind.UNSUBSCRIBED:
        return Judgement(Verdict.HUMAN, "a confirmed unsubscribe is always honoured")
    if hit.method == "HEAD":
        return Judgement(Verdict.BOT, "HEAD request")
    if not hit.user_agent.strip():
        return Judgement(Verdict.BOT, "no user agent")
    if any("prefetch" in hit.headers.get(name, "").lower() for name in _PREFETCH_HEADERS):
        return Judgement(Verdict.BOT, "prefetch")
    known = judge_agent(hit.user_agent)
    if known.verdict is Verdict.BOT:
        return known
    if hit.at_ms - accepted_ms < TOO_FAST_MS:
        return Judgement(Verdict.BOT, f"less than {TOO_FAST_MS / 1000:g} s after delivery")
    return known


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
    return Judgement(Verdict.HUMAN, "no sign of a machine")


def _first(signatures: tuple[Signature, ...], lowered: str) -> Signature | None:
    return next((s for s in signatures if s.needle in lowered), None)
