"""What a person agreed to, since when and how we know: the lead's consent (GDPR, article 7(1))."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from postfleet.addresses import check_text
from postfleet.instants import to_ms

MAX_SOURCE_OCTETS = 500


class ConsentLevel(StrEnum):
    NONE = "none"
    GIVEN = "given"  # asked for the mail, but anybody may have typed the address
    CONFIRMED = "confirmed"  # answered from the mailbox itself: double opt-in


@dataclass(frozen=True, slots=True)
class Consent:
    """`at` is in epoch milliseconds; `source` says where it was given: a form, a fair, our mail."""

    level: ConsentLevel = ConsentLevel.NONE
    at: int | None = None
    source: str = ""


NO_CONSENT = Consent()


def mailable(consent: Consent, require_opt_in: bool) -> bool:
    """Whether a campaign with this policy may mail a lead with this consent."""
    return not require_opt_in or consent.level is ConsentLevel.CONFIRMED


def parse_consent(level: str, at: str = "", source: str = "") -> Consent:
    """From the texts of an import. Raises ValueError naming the column and the remedy."""
    try:
        known = ConsentLevel(level.lower() or "none")
    except ValueError as error:
        names = ", ".join(ConsentLevel)
        raise ValueError(f"consent: {level[:50]!r} is none of {names}") from error
    if known is ConsentLevel.NONE:
        if at or source:
            raise ValueError("consent: say given or confirmed where consent_at or _source is set")
        return NO_CONSENT
    if len(source.encode()) > MAX_SOURCE_OCTETS:
        raise ValueError(f"consent_source: longer than {MAX_SOURCE_OCTETS} octets")
    return Consent(known, _moment(at) if at else None, check_text(source))


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"consent_at: {text[:50]!r} is no time such as 2026-03-01T10:00Z"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # a bare date is a day of the calendar
        if "T" in text or ":" in text:
            raise ValueError("consent_at: add the zone, as in 2026-03-01T10:00Z")
    return to_ms(moment)
