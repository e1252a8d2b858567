"""What a failure means for the address: dead, not now, or the mail was not wanted.

Used for DSNs and for free-form notices alike; texts and codes are in `tables/failures.py`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from inbox_watcher.domain.tables.failures import CODE_RULES, STATUS_RULES, TEXT_RULES

MAX_TEXT = 2000  # characters of a diagnostic that are looked at


class Severity(StrEnum):
    HARD = "hard"  # the recipient will never get mail at this address
    SOFT = "soft"  # not now: full, rate limited, unreachable
    POLICY = "policy"  # this mail, or this sender, was not wanted


@dataclass(frozen=True, slots=True)
class Failure:
    severity: Severity
    category: str
    reason: str  # which rule decided


_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?=[ \-#]|$)")
_TEXTS = [(rule, re.compile(rule.pattern, re.IGNORECASE)) for rule in TEXT_RULES]


def status_in(text: str) -> str:
    """The first enhanced status in a text, or ""."""
    found = _STATUS.search(text[:MAX_TEXT])
    return found[0] if found else ""


def code_in(text: str) -> int | None:
    """The first basic SMTP failure code in a text."""
    found = _CODE.search(text[:MAX_TEXT])
    return int(found[1]) if found else None


def judge(status: str, text: str) -> Failure:
    """The most specific rule decides: the words, then the enhanced status, then the code."""
    code = code_in(text)
    failure = _by_text(text) or _by_status(status or status_in(text)) or _by_code(code)
    if failure is None:
        return Failure(Severity.SOFT, "other", "nothing known about it")
    if failure.severity is Severity.HARD and _is_transient(status, code, text):
        return Failure(Severity.SOFT, failure.category, f"{failure.reason}; but a transient code")
    return failure


def _by_text(text: str) -> Failure | None:
    for rule, pattern in _TEXTS:
        found = pattern.search(text[:MAX_TEXT])
        if found:
            return Failure(Severity(rule.severity), rule.category, f"text {found[0][:80]!r}")
    return None


def _by_status(status: str) -> Failure | None:
    class_, _, rest = status.partition(".")
    rule = STATUS_RULES.get(rest)
    if rule is None:
        subject = rest.partition(".")[0]
        rule = STATUS_RULES.get(f"{subject}.0") if subject in "34567" and subject else None
    if rule is None or class_ not in "45":
        return None
    return Failure(Severity(rule[1]), rule[0], f"status {status}")


def _by_code(code: int | None) -> Failure | None:
    if code is None:
        return None
    if code < 500:
        return Failure(Severity.SOFT, "temporary", f"code {code}")
    category, severity = CODE_RULES.get(code, ("other", "soft"))
    return Failure(Severity(severity), category, f"code {code}")


def _is_transient(status: str, code: int | None, text: str) -> bool:
    """4yz was the last word; a generic 4.0.0 or 5.0.0 status does not outweigh a code."""
    if code is not None:
        return code < 500
    known = status if status and not status.endswith(".0.0") else status_in(text) or status
    return known.startswith("4")
