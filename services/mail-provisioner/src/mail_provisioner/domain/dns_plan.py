"""What has to change in the DNS, and what must not: a record that we did not write is never replaced.

`found` are the values that are published now; `ours` is what we published there ourselves before
("" if nothing; for SPF the terms that we added). SPF is the one record that is shared: our terms are
merged into it, and those of ours that are no longer wanted are taken out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mail_provisioner.domain import spf
from mail_provisioner.domain.records import Purpose, Record, tags


class Standing(StrEnum):
    """How a wanted record stands in the DNS."""

    PUBLISHED = "published"
    MISSING = "missing"
    CHANGED = "changed"  # ours, but not as we want it now
    FOREIGN = "foreign"  # somebody else's is there instead: left alone
    UNKNOWN = "unknown"  # the DNS gave no answer


class Action(StrEnum):
    NONE = "none"
    ADD = "add"
    REPLACE = "replace"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Step:
    """One record's verdict: `before` is the value that gives way to `record.value`."""

    record: Record
    standing: Standing
    action: Action
    found: tuple[str, ...] = ()
    before: str = ""
    note: str = ""


def step(record: Record, found: Sequence[str], ours: str, spf_terms: Sequence[str] = ()) -> Step:
    """What to do about one record."""
    if record.purpose == Purpose.SPF:
        return _spf(record, found, ours.split(), spf_terms)
    if record.purpose == Purpose.MX:
        return _mx(record, found, ours)
    return _own_name(record, found, ours)


def unknown(record: Record, reason: str) -> Step:
    return Step(record, Standing.UNKNOWN, Action.NONE, note=reason)


def owned_after(step: Step, ours: str, spf_terms: Sequence[str]) -> str:
    """What is ours at a record's place once the step is done, to be remembered."""
    if step.record.purpose != Purpose.SPF:
        return step.record.value
    changed = step.action in (Action.ADD, Action.REPLACE)
    added = spf.missing_from(step.before, spf_terms) if changed else ()
    return " ".join(term for term in spf_terms if term in added or term in ours.split())


def _spf(record: Record, found: Sequence[str], ours: Sequence[str], wanted: Sequence[str]) -> Step:
    records = tuple(spf.records_in(found))
    stale = [term for term in ours if term not in wanted]
    try:
        value = spf.merged([spf.without(r, stale) if stale else r for r in records], wanted)
    except spf.SpfConflict as conflict:
        return Step(record, Standing.FOREIGN, Action.REFUSE, records, note=str(conflict))
    merged = Record(record.type, record.name, value, record.purpose)
    if not records:
        return Step(merged, Standing.MISSING, Action.ADD)
    if value == records[0]:
        return Step(merged, Standing.PUBLISHED, Action.NONE, records)
    if len(spf.lookup_terms(value)) > spf.MAX_LOOKUPS:
        note = (
            f"with ours the record would need more than {spf.MAX_LOOKUPS} DNS lookups, which is an "
            "error for receivers: name addresses (ip4:, ip6:) instead of names"
        )
        return Step(merged, Standing.CHANGED, Action.REFUSE, records, records[0], note)
    note = "this server is not allowed to send yet; what is there is kept"
    return Step(merged, Standing.CHANGED, Action.REPLACE, records, records[0], note)


def _mx(record: Record, found: Sequence[str], ours: str) -> Step:
    hosts = {_exchange(value) for value in found}
    if _exchange(record.value) in hosts:
        return Step(record, Standing.PUBLISHED, Action.NONE, tuple(found))
    if not found:
        return Step(record, Standing.MISSING, Action.ADD)
    if ours and [_exchange(value) for value in found] == [_exchange(ours)]:
        return Step(record, Standing.CHANGED, Action.REPLACE, tuple(found), found[0])
    note = (
        "another server receives this domain's mail; take its MX away by hand if ours shall, "
        "or switch receiving off for the domain"
    )
    return Step(record, Standing.FOREIGN, Action.REFUSE, tuple(found), note=note)


def _own_name(record: Record, found: Sequence[str], ours: str) -> Step:
    """DKIM, DMARC, TLS-RPT, verification: one value at a name of its own."""
    rivals = tuple(value for value in found if _same_kind(value, record.value))
    if len(rivals) == 1 and _equal(rivals[0], record.value):
        return Step(record, Standing.PUBLISHED, Action.NONE, rivals)
    if not rivals:
        return Step(record, Standing.MISSING, Action.ADD)
    if ours and len(rivals) == 1 and _equal(rivals[0], ours):
        return Step(record, Standing.CHANGED, Action.REPLACE, rivals, rivals[0])
    note = "a record that we did not write is there; it is kept: change or remove it by hand"
    return Step(record, Standing.FOREIGN, Action.REFUSE, rivals, note=note)


def _exchange(value: str) -> str:
    """The host of `10 mail.one.test.`"""
    return value.split()[-1].rstrip(".").lower() if value.split() else ""


def _same_kind(one: str, other: str) -> bool:
    """Whether two texts would be read as the same kind of record (both v=DMARC1, for instance).

    A DKIM record need not have `v=`: a text with `p=` counts as one.
    """
    left, right = tags(one), tags(other)
    if right.get("v", "").upper() == "DKIM1":
        return "p" in left
    if "v" in right:
        return left.get("v", "").upper() == right["v"].upper()
    return one.partition("=")[0] == other.partition("=")[0]


def _equal(one: str, other: str) -> bool:
    if "v" not in tags(other):
        return one.strip() == other.strip()
    return _meaning(one) == _meaning(other)


def _meaning(value: str) -> dict[str, str]:
    """The tags without those that say what is assumed anyway."""
    found = tags(value)
    if found.get("k", "").lower() == "rsa":
        del found["k"]
    if found.get("v", "").upper() == "DKIM1":
        del found["v"]
    return found
