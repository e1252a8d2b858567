"""Every event of the platform, one class per subject: a module for each family, one registry.

An event is a fact in the past tense. Fields are only ever added, with defaults; a changed meaning
is a new event. Readers ignore fields that they do not know.
"""

from collections.abc import Iterator
from types import ModuleType

from postfleet.events import campaigns, deliveries, domains, inbox, senders, tracking
from postfleet.events.event import Event

FAMILIES = (senders, campaigns, deliveries, inbox, tracking, domains)


def _declared_in(family: ModuleType) -> Iterator[type[Event]]:
    for declared in vars(family).values():
        if (
            isinstance(declared, type)
            and issubclass(declared, Event)
            and "subject" in vars(declared)
        ):
            yield declared


#: subject -> class, for every event of the platform
EVENTS: dict[str, type[Event]] = {
    cls.subject: cls for family in FAMILIES for cls in _declared_in(family)
}
