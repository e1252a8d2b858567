"""What becomes of a mail: the tables that say what a provider answers and a person does.

Pure: the same seed and address give the same behaviour, whatever came before and whenever.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from itertools import accumulate
from typing import Any


class Act(StrEnum):
    """Something that happens after a mail was accepted; also the kind of its ledger record."""

    HUMAN_OPEN = "human_open"
    CLICK = "click"
    REPLY = "reply"
    UNSUBSCRIBE = "unsubscribe"  # RFC 8058 POST
    SCANNER_OPEN = "scanner_open"
    SCANNER_CLICK = "scanner_click"  # every link, the unsubscribe page included
    AUTO_REPLY = "auto_reply"
    DSN = "dsn"  # RFC 3464, to the reverse-path
    DELIVER = "deliver"  # the recipient is itself an account of the sandbox
    SAVE_SENT = "save_sent"  # the provider keeps a copy in Sent, as Gmail does


class Drop(StrEnum):
    """When the connection is cut after the final dot (RFC 1047 is about the second)."""

    NEVER = ""
    BEFORE_ACCEPTING = "before_accepting"
    AFTER_ACCEPTING = "after_accepting"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row of the table. Replies are whole reply lines: `550 5.1.1 No such user`."""

    rcpt_reply: str = ""  # "" accepts; a 421 also closes the connection
    data_reply: str = ""  # to the final dot, instead of 250
    times: int = 0  # how often the replies or the drop happen to an address; 0: always
    rcpt_delay_ms: int = 0
    data_delay_ms: int = 0  # before the reply to the final dot
    drop: Drop = Drop.NEVER
    acts: tuple[Act, ...] = ()
    folder: str = "INBOX"  # of an account: where its filter puts the mail
    dsn_action: str = "failed"  # RFC 3464 §2.3.3: failed, delayed
    dsn_status: str = "5.1.1"
    dsn_diagnostic: str = "550 5.1.1 User unknown"


NAMED: Mapping[str, Behaviour] = {
    "accept": Behaviour(),
    "bounce": Behaviour(rcpt_reply="550 5.1.1 Recipient address rejected: User unknown"),
    "full": Behaviour(rcpt_reply="552 5.2.2 Mailbox full"),
    "blocked": Behaviour(rcpt_reply="550 5.7.1 Message rejected by policy"),
    "spam": Behaviour(data_reply="554 5.7.1 Message content rejected as spam"),
    "greylist": Behaviour(
        rcpt_reply="450 4.7.1 Greylisted, try again later", times=1, acts=(Act.HUMAN_OPEN,)
    ),
    "tempfail": Behaviour(data_reply="451 4.3.0 Temporary local problem", times=1),
    "busy": Behaviour(rcpt_reply="421 4.3.2 Too busy, closing connection", times=1),
    "slow": Behaviour(rcpt_delay_ms=1000, data_delay_ms=1000),
    "drop-before": Behaviour(drop=Drop.BEFORE_ACCEPTING, times=1),
    "drop-after": Behaviour(drop=Drop.AFTER_ACCEPTING, times=1),
    "open": Behaviour(acts=(Act.HUMAN_OPEN,)),
    "click": Behaviour(acts=(Act.HUMAN_OPEN, Act.CLICK)),
    "reply": Behaviour(acts=(Act.HUMAN_OPEN, Act.REPLY)),
    "vacation": Behaviour(acts=(Act.AUTO_REPLY,)),
    "scanner": Behaviour(acts=(Act.SCANNER_OPEN, Act.SCANNER_CLICK)),
    "guarded": Behaviour(acts=(Act.SCANNER_OPEN, Act.SCANNER_CLICK, Act.HUMAN_OPEN, Act.CLICK)),
    "unsubscribe": Behaviour(acts=(Act.HUMAN_OPEN, Act.UNSUBSCRIBE)),
    "dsn": Behaviour(acts=(Act.DSN,)),
    "dsn-full": Behaviour(
        acts=(Act.DSN,), dsn_status="5.2.2", dsn_diagnostic="552 5.2.2 Mailbox full"
    ),
    "dsn-delayed": Behaviour(
        acts=(Act.DSN,),
        dsn_action="delayed",
        dsn_status="4.4.1",
        dsn_diagnostic="connect to mx: Connection timed out",
    ),
}
"""Also reachable as local part: `bounce@` and `bounce+anything@` in the people domain."""

SHARES: Mapping[str, float] = {
    "accept": 0.360,
    "open": 0.240,
    "click": 0.100,
    "reply": 0.080,
    "scanner": 0.060,
    "vacation": 0.050,
    "unsubscribe": 0.030,
    "greylist": 0.025,
    "guarded": 0.020,
    "bounce": 0.020,
    "dsn": 0.015,
}
"""What people are like by default. Hard bounces stay at 3.5 %: above 5 % a campaign pauses."""

SCANNING = frozenset({Act.SCANNER_OPEN, Act.SCANNER_CLICK})
ONCE_PER_PERSON = frozenset({Act.REPLY, Act.UNSUBSCRIBE})
ONCE_PER_SENDER = frozenset({Act.AUTO_REPLY})  # RFC 3834 §2: not to every mail

_STEPS = tuple(zip(accumulate(SHARES.values()), SHARES, strict=True))


def fraction(seed: int, *parts: str) -> float:
    """Return a number in [0, 1) that depends on nothing but the arguments."""
    digest = hashlib.sha256("\0".join((str(seed), *parts)).encode()).digest()
    return int.from_bytes(digest[:7]) / (1 << 56)


def drawn(seed: int, address: str) -> str:
    """Return the name of the behaviour that chance gives to `address`."""
    point = fraction(seed, "behaviour", address.lower())
    return next((name for limit, name in _STEPS if point < limit), "accept")


def asked_for(address: str, people_domain: str) -> str:
    """Return the name that the local part of `address` asks for, or ""."""
    local_part, _, domain = address.lower().rpartition("@")
    name = local_part.partition("+")[0]
    return name if domain == people_domain and name in NAMED else ""


def behaviour_from(document: Mapping[str, Any]) -> Behaviour:
    """Build a behaviour from JSON: `behaviour` names a row, other fields change it.

    Raises ValueError naming the unknown name or field.
    """
    changes = dict(document)
    name = changes.pop("behaviour", "accept")
    if name not in NAMED:
        raise ValueError(f"unknown behaviour {name!r}; there are: {', '.join(NAMED)}")
    if unknown := changes.keys() - {field.name for field in fields(Behaviour)}:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    if "acts" in changes:
        changes["acts"] = tuple(Act(act) for act in changes["acts"])
    if "drop" in changes:
        changes["drop"] = Drop(changes["drop"])
    return replace(NAMED[name], **changes)


def as_document(behaviour: Behaviour) -> dict[str, Any]:
    """Return what `behaviour_from` reads back."""
    return {**asdict(behaviour), "acts": list(behaviour.acts)}
