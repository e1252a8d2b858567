"""SPF (RFC 7208): one record a domain, merged with what is there, never written from memory.

Every term, its order, its qualifier and the final `all` stay as they were found; only what is
missing is put in. So what an operator adds for another service survives every later run.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_LOOKUPS = 10  # RFC 7208 §4.6.4: more is a permanent error for every receiver
MAX_VOID_LOOKUPS = 2
_RECORD = re.compile(r"v=spf1(?: |$)", re.IGNORECASE)
_LOOKING_UP = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})
_DEFAULT_ALL = "~all"  # a soft fail, as the seed has it: receivers mark, they do not refuse


class SpfConflict(Exception):
    """More than one record: receivers ignore them all, and only a person knows which is right."""


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism or modifier; `target` is "" where it means the domain itself."""

    text: str

    @property
    def key(self) -> str:
        """What the term means: without case and without the default qualifier."""
        return self.text.lower().removeprefix("+")

    @property
    def mechanism(self) -> str:
        return re.split(r"[:/=]", self.text.lower().lstrip("+-~?"), maxsplit=1)[0]

    @property
    def target(self) -> str:
        _, _, after = self.text.partition("=" if self.mechanism == "redirect" else ":")
        return after.split("/")[0].rstrip(".").lower()

    @property
    def is_macro(self) -> bool:
        """Whether the name depends on the message (RFC 7208 §7)."""
        return "%" in self.text


def records_in(texts: Iterable[str]) -> list[str]:
    """The SPF records among TXT values."""
    return [text for text in texts if _RECORD.match(text.strip())]


def terms(record: str) -> list[Term]:
    return [Term(word) for word in record.split()[1:]]


def lookup_terms(record: str) -> list[Term]:
    """The terms that cost a DNS lookup; `redirect` counts only without `all`."""
    known = terms(record)
    ends = any(term.mechanism == "all" for term in known)
    return [
        term
        for term in known
        if term.mechanism in _LOOKING_UP and not (ends and term.mechanism == "redirect")
    ]


def merged(texts: Iterable[str], wanted: Sequence[str]) -> str:
    """The one record that also has the wanted terms. Raises SpfConflict."""
    found = records_in(texts)
    if len(found) > 1:
        raise SpfConflict(
            f"there are {len(found)} SPF records, which receivers treat as an error: "
            "join them into one by hand"
        )
    if not found:
        return " ".join(["v=spf1", *wanted, _DEFAULT_ALL])
    known = terms(found[0])
    have = {term.key for term in known}
    missing = [term for term in wanted if Term(term).key not in have]
    if not missing:
        return found[0]
    ends = (i for i, term in enumerate(known) if term.mechanism in ("all", "redirect"))
    cut = next(ends, len(known))
    texts_of = [term.text for term in known]
    return " ".join(["v=spf1", *texts_of[:cut], *missing, *texts_of[cut:]])


def missing_from(record: str, wanted: Iterable[str]) -> tuple[str, ...]:
    """The wanted terms that a record lacks."""
    have = {term.key for term in terms(record)}
    return tuple(term for term in wanted if Term(term).key not in have)


def without(record: str, ours: Iterable[str]) -> str:
    """The record without these terms of ours; the reverse of `merged`."""
    gone = {Term(term).key for term in ours}
    return " ".join(["v=spf1", *(t.text for t in terms(record) if t.key not in gone)])
