"""What a refusal means: is the address dead, is it "not now", or was the mail not wanted?

For replies of SMTP servers and for the diagnostic texts of DSNs alike. The tables are in
`postfleet.smtp_reply_texts`. `python -m postfleet.smtp_reply --json` reads replies, a line each.
"""

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from postfleet.phrases import phrases, plain_letters
from postfleet.smtp import SmtpReply
from postfleet.smtp_reply_texts import (
    ABOUT_AN_ADDRESS,
    ABOUT_THE_SENDER,
    CATEGORIES,
    CHECK_NOT_MADE,
    CODE_RULES,
    HARD,
    IS_GONE,
    NO_RECIPIENT,
    ONLY_FOR_NOW,
    PHASE_RULES,
    PROVIDER_RULES,
    SENDERS_SIDE,
    STATUS_RULES,
    TEXT_RULES,
)

MAX_TEXT = 2000  # characters that are looked at


class Severity(StrEnum):
    HARD = "hard"  # the recipient will never get mail at this address
    SOFT = "soft"  # not now: full, rate limited, unreachable
    POLICY = "policy"  # this mail, or this sender, was not wanted


@dataclass(frozen=True, slots=True)
class Classification:
    severity: Severity
    category: str  # one of CATEGORIES
    reason: str  # which rule decided


_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_CODE = re.compile(r"(?<![\d.:/=-])([45]\d\d)(?=[ \-#,:;]|$)")
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,200}@[\w.-]{1,255}")
_HOST = re.compile(r"\b(?:host|server|from|by|to|with) [\w-]{1,63}(?:\.[\w-]{1,63}){1,10}")
_IN_REPLY_TO = re.compile(r"\(in reply to [\w ]{1,40} command\)", re.IGNORECASE)  # says Postfix
_IP_ADDRESS = re.compile(r"\bip address\b", re.IGNORECASE)  # is no address of a person
_SPACE = re.compile(r"\s+(?:[45]\d\d[- ](?:#?[45]\.\d{1,3}\.\d{1,3} )?)?")
_TEXTS = [(rule, phrases(plain_letters(rule.pattern))) for rule in TEXT_RULES]
_PROVIDERS = [
    (re.compile(status), phrases(words), verdict) for status, words, verdict in PROVIDER_RULES
]
_ABOUT_AN_ADDRESS = phrases(plain_letters(ABOUT_AN_ADDRESS))
_ABOUT_THE_SENDER = phrases(ABOUT_THE_SENDER)
_SENDERS_SIDE = phrases(SENDERS_SIDE)
_A_RECIPIENT = phrases(r"\b(?:recipient|rcpt|addressee)")
_IS_GONE = phrases(plain_letters(IS_GONE))
_NO_RECIPIENT = phrases(NO_RECIPIENT)
_ONLY_FOR_NOW = phrases(ONLY_FOR_NOW)
_CHECK_NOT_MADE = phrases(CHECK_NOT_MADE)
_CHECKS = ("policy", "authentication", "sender_rejected", "virus")
_GONE = ("unknown_user", "disabled", "bad_domain", "bad_address")
_LATER = phrases(r"(?:try|retry|again|come back)\W{1,3}(?:\w+\W{1,3}){0,3}?(?:later|again|minutes)")
_CODES_OF_ADDRESSES = (550, 551, 553)
#: Words of these categories tell less than an enhanced status does.
_VAGUE = ("policy", "temporary", "system_problem", "protocol", "content")
#: With a code of addresses this refuses the address and tells nothing else.
_REFUSAL = phrases(
    r"(?:recipient|rcpt|user) (?:address |mailbox )?(?:\W{0,2}@\W{1,2})?(?:is |was )?(?:rejected|"
    r"refused|denied|"
    r"not (?:allowed|accepted))\W*$|rejected (?:the )?recipients?\W*$|"
    r"requested action not taken: mailbox"
    r"|^\W*\d{3}[- ]\W*@\W*(?:rejected|refused)\W*$"
)


def status_in(text: str) -> str:
    """The first enhanced status in a text, or ""."""
    found = _STATUS.search(text[:MAX_TEXT])
    return found[0] if found else ""


def code_in(text: str) -> int | None:
    """The first basic SMTP failure code in a text."""
    found = _CODE.search(text[:MAX_TEXT])
    return int(found[1]) if found else None


def classify(reply: SmtpReply, phase: str | None = None) -> Classification:
    """What a 4yz or 5yz means. `phase`: connect, helo, starttls, auth, mail, rcpt, data or dot."""
    return judge(reply.enhanced_status or status_in(reply.text), reply.text, reply.code, phase)


def judge(
    status: str, text: str, code: int | None = None, phase: str | None = None
) -> Classification:
    """The most specific rule decides: a provider's own, the words, the status, the phase, the code.

    A reply that is not final is never hard, whatever its words are.
    """
    code = code if code is not None else code_in(text)
    words = _words(text)
    known = (status_in(text) or status) if not status or status.endswith(".0.0") else status
    verdict = (
        _by_provider(known, words)
        or _by_text(words, known, code)
        or _by_status(known)
        or _by_phase(code, phase)
        or _by_code(code, words)
        or Classification(Severity.SOFT, "other", "nothing known about it")
    )
    if verdict.severity is Severity.HARD and _is_transient(status, code, text):
        reason = f"{verdict.reason}; but a transient code"
        return Classification(Severity.SOFT, verdict.category, reason)
    if verdict.category in _GONE and _is_of_the_sender(words):
        reason = f"{verdict.reason}; but of the sender's side"
        return Classification(Severity.POLICY, "sender_rejected", reason)
    if verdict.category == "disabled" and _ONLY_FOR_NOW.search(words):
        return Classification(Severity.SOFT, "mailbox_problem", f"{verdict.reason}; but for now")
    undone = verdict.category in _CHECKS and (_LATER.search(words) or _CHECK_NOT_MADE.search(words))
    if undone and _is_transient(status, code, text):
        return Classification(Severity.SOFT, "temporary", f"{verdict.reason}; but only for now")
    return verdict


def _words(text: str) -> str:
    """In one line of small plain letters, without addresses and hosts' names: those may be any word."""
    plain = _ADDRESS.sub("@", _SPACE.sub(" ", text[:MAX_TEXT]))
    plain = _IN_REPLY_TO.sub(" ", plain)
    return plain_letters(_IP_ADDRESS.sub("ip", _HOST.sub(" ", plain)).lower())


def _verdict(category: str, severity: str, reason: str) -> Classification:
    return Classification(Severity(severity or CATEGORIES[category][0]), category, reason)


def _by_provider(status: str, words: str) -> Classification | None:
    for status_pattern, pattern, (category, severity) in _PROVIDERS:
        if status_pattern.search(status) and (found := pattern.search(words)):
            return _verdict(category, severity, f"status {status} with text {found[0][:60]!r}")
    return None


def _by_text(words: str, status: str, code: int | None) -> Classification | None:
    for rule, pattern in _TEXTS:
        found = pattern.search(words)
        if found is None or (rule.category in _VAGUE and _tells_more(status)):
            continue
        if rule.category == "policy" and code in _CODES_OF_ADDRESSES and _REFUSAL.search(words):
            continue
        return _verdict(rule.category, rule.severity, f"text {found[0][:80]!r}")
    return None


def _tells_more(status: str) -> bool:
    """Whether the status is more than the general one of its subject."""
    return _by_status(status) is not None and not status.endswith((".0", ".7.1", ".3.2"))


def _by_status(status: str) -> Classification | None:
    class_, _, rest = status.partition(".")
    rule = STATUS_RULES.get(rest)
    if rule is None:
        subject = rest.partition(".")[0]
        rule = STATUS_RULES.get(f"{subject}.0") if subject in ("3", "4", "6", "7") else None
    if rule is None or class_ not in ("4", "5"):
        return None
    return _verdict(*rule, f"status {status}")


def _by_phase(code: int | None, phase: str | None) -> Classification | None:
    if code is None or code < 500 or phase not in PHASE_RULES:
        return None
    return _verdict(*PHASE_RULES[phase], f"code {code} at {phase}")


def _by_code(code: int | None, words: str) -> Classification | None:
    if code is None:
        return None
    if code < 500:
        return _verdict("temporary", "", f"code {code}")
    says_nothing = not any(character.isalpha() for character in words)
    if code in _CODES_OF_ADDRESSES and (says_nothing or _is_of_the_recipient(words)):
        return _verdict("unknown_user", HARD, f"code {code} about an address")
    category, severity = CODE_RULES.get(code, ("other", ""))
    return _verdict(category, severity, f"code {code}")


def _is_of_the_recipient(words: str) -> bool:
    """Whether someone is refused who can only be the recipient: named, or said to be gone."""
    if _ABOUT_THE_SENDER.search(words):
        return False
    gone = _IS_GONE.search(words) and not _NO_RECIPIENT.search(words)
    return bool(gone or _ABOUT_AN_ADDRESS.search(words))


def _is_of_the_sender(words: str) -> bool:
    return bool(_SENDERS_SIDE.search(words)) and not _A_RECIPIENT.search(words)


def _is_transient(status: str, code: int | None, text: str) -> bool:
    """4yz was the last word; a generic 4.0.0 or 5.0.0 status does not outweigh a code."""
    if code is not None:
        return code < 500
    known = status if status and not status.endswith(".0.0") else status_in(text) or status
    return known.startswith("4")


def _classified(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        verdict = judge("", line.strip())
        yield json.dumps({"severity": verdict.severity.value, "category": verdict.category})


def main(arguments: list[str]) -> int:
    if arguments != ["--json"]:
        print("usage: python -m postfleet.smtp_reply --json < replies", file=sys.stderr)  # noqa: T201
        return 2
    for line in _classified(sys.stdin):
        print(line, flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
