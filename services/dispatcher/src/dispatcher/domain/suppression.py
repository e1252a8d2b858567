"""Why somebody is suppressed, and how a list of them is written for spreadsheets."""

import re
from enum import StrEnum

from postfleet.addresses import canonical, check_domain


class Kind(StrEnum):
    """Each stands for itself: lifting one leaves the others."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    MANUAL = "manual"


#: What the person alone decides, and may take back.
LIFTED_BY_RESUBSCRIBING = (Kind.UNSUBSCRIBE, Kind.CONSENT_WITHDRAWN)

# A cell that begins like this is a formula to a spreadsheet; quotes in front are doubled, so that
# every text has one form only.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEUTRALISED = re.compile(r"'+[=+\-@\t\r]")


def neutralised(cell: str) -> str:
    """The cell as text, whatever it begins with (OWASP, CSV injection)."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def original(cell: str) -> str:
    """What was neutralised."""
    return cell[1:] if _NEUTRALISED.match(cell) else cell


def entry_of(text: str) -> str:
    """The canonical entry: an address, or a domain with an @ before it. Raises InvalidAddress."""
    if not text.startswith("@"):
        return canonical(text)
    domain = check_domain(text[1:])
    return f"@{canonical(f'x@{domain}').partition('@')[2]}"


def kind_of(text: str) -> Kind:
    """Raises ValueError naming the kinds there are."""
    try:
        return Kind(text.strip().lower() or Kind.MANUAL)
    except ValueError as error:
        raise ValueError(f"{text[:50]!r} is none of {', '.join(Kind)}") from error
