"""What senders that degrade together have in common: a template, a domain, or a provider.

One sender's trouble is its own. When several degrade at once, most of those that share something,
pausing each of them alone would let the next ones run into the same wall: the shared factor is
paused, and named. The kind of trouble tells where to look first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256


class Kind(StrEnum):
    """What senders may share."""

    TEMPLATE = "template"  # campaign:step:variant
    DOMAIN = "domain"  # of the senders' addresses
    PROVIDER = "provider"  # whose servers take their mail


class Trouble(StrEnum):
    CONTENT = "content"
    REPUTATION = "reputation"
    ACCESS = "access"  # no connection, no log-in


_OF_CATEGORY = {
    **dict.fromkeys(("spam", "virus", "content"), Trouble.CONTENT),
    **dict.fromkeys(
        ("authentication", "policy", "relaying", "reputation", "reverse_dns", "sender_rejected"),
        Trouble.REPUTATION,
    ),
    **dict.fromkeys(("auth", "connection", "encryption", "dns", "protocol"), Trouble.ACCESS),
}
#: Where to look first; each sender has one domain and provider, but may send many templates.
_SUSPECTS = {
    Trouble.CONTENT: (Kind.TEMPLATE, Kind.DOMAIN, Kind.PROVIDER),
    Trouble.REPUTATION: (Kind.DOMAIN, Kind.TEMPLATE, Kind.PROVIDER),
    Trouble.ACCESS: (Kind.PROVIDER, Kind.DOMAIN),
}


@dataclass(frozen=True, slots=True)
class Factor:
    kind: Kind
    value: str

    @property
    def id(self) -> str:
        return sha256(f"{self.kind}\x1f{self.value}".encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class BlastRules:
    min_senders: int = 3  # that degrade together
    min_share: float = 0.6  # of those that share the factor and sent
    min_attempts: int = 5  # of a sender, to say anything about it
    min_connections: int = 3  # … about its access: its breaker opens then, and no more are made
    trouble_rate: float = 0.3  # of a sender's attempts: it is degraded


@dataclass(frozen=True, slots=True)
class Sight:
    """One sender with one template lately: attempts, and how many of them met which trouble."""

    sender_id: str
    factors: frozenset[Factor]
    attempts: int
    troubles: Mapping[Trouble, int]


@dataclass(frozen=True, slots=True)
class Suspect:
    """The factor that explains most, and whom it took down."""

    factor: Factor
    trouble: Trouble
    senders: tuple[str, ...]
    of: int  # senders that share the factor and sent

    @property
    def reason(self) -> str:
        return (
            f"{len(self.senders)} of {self.of} senders that share the {self.factor.kind} "
            f"{self.factor.value} degrade together: {self.trouble}"
        )


def factors_of(domain: str, provider: str, template: str) -> frozenset[Factor]:
    """What a mail of this template has to do with, by a sender of this domain and provider."""
    named = {Kind.TEMPLATE: template, Kind.DOMAIN: domain, Kind.PROVIDER: provider}
    return frozenset(Factor(kind, value) for kind, value in named.items() if value)


def trouble_of(category: str, fault: str) -> Trouble | None:
    """What a refusal of this category is about; None where it is the recipient's own."""
    return None if fault == "recipient" else _OF_CATEGORY.get(category)


def suspects(sights: Sequence[Sight], rules: BlastRules) -> list[Suspect]:
    """The shared factors to pause now, at most one for each kind of trouble."""
    found = (_suspect(trouble, sights, rules) for trouble in Trouble)
    unique = {suspect.factor: suspect for suspect in found if suspect}
    return list(unique.values())


def _suspect(trouble: Trouble, sights: Sequence[Sight], rules: BlastRules) -> Suspect | None:
    kinds = _SUSPECTS[trouble]
    candidates = []
    factors = {
        factor for sight in sights if sight.troubles.get(trouble) for factor in sight.factors
    }
    for factor in factors:
        if factor.kind not in kinds:
            continue
        degraded, healthy = _split(trouble, (s for s in sights if factor in s.factors), rules)
        total = len(degraded) + len(healthy)
        if len(degraded) >= rules.min_senders and len(degraded) >= rules.min_share * total:
            # Most explained, least that is well; then where such trouble usually comes from.
            order = (-len(degraded), len(healthy), kinds.index(factor.kind), factor.value)
            candidates.append((order, Suspect(factor, trouble, tuple(sorted(degraded)), total)))
    return min(candidates)[1] if candidates else None


def _split(
    trouble: Trouble, sights: Iterable[Sight], rules: BlastRules
) -> tuple[set[str], set[str]]:
    """(degraded, healthy) of the senders that sent enough to tell."""
    attempts: dict[str, int] = {}
    met: dict[str, int] = {}
    for sight in sights:
        attempts[sight.sender_id] = attempts.get(sight.sender_id, 0) + sight.attempts
        met[sight.sender_id] = met.get(sight.sender_id, 0) + sight.troubles.get(trouble, 0)
    least = rules.min_connections if trouble is Trouble.ACCESS else rules.min_attempts
    enough = {name for name, count in attempts.items() if count >= least}
    degraded = {name for name in enough if met[name] >= rules.trouble_rate * attempts[name]}
    return degraded, enough - degraded
