"""Whose matter a punished delivery was: the list's, the mail's, the sender's, its domain's, the receiver's.

Health falls whatever the cause; the cause says what to mend.
"""

from enum import StrEnum

from postfleet.events.deliveries import DeliveryEvent
from postfleet.events.inbox import ComplaintReceived


class Cause(StrEnum):
    LIST = "list"
    CONTENT = "content"
    SENDER = "sender"
    DOMAIN = "domain"
    RECEIVER = "receiver"


#: by the category of a bounce or a refusal; the others are the receiver's own
_BY_CATEGORY = {
    Cause.LIST: "unknown_user disabled moved bad_domain bad_address",
    Cause.CONTENT: "spam virus content too_large",
    Cause.SENDER: "sender_rejected rate_limited relaying",
    Cause.DOMAIN: "authentication reputation reverse_dns",
}
_CAUSES = {name: cause for cause, names in _BY_CATEGORY.items() for name in names.split()}


def cause_of(event: DeliveryEvent) -> Cause:
    """Of an event that lowers health. Who complains never wanted the mail: the list's."""
    if isinstance(event, ComplaintReceived):
        return Cause.LIST
    known = _CAUSES.get(getattr(event, "category", ""))
    if known is not None:
        return known
    fault = getattr(event, "fault", "")
    return Cause(fault) if fault in (Cause.CONTENT, Cause.SENDER) else Cause.RECEIVER
