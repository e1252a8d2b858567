"""Where links lead, answered from memory; one look into the database for one that is not there."""

import time
from collections.abc import Awaitable, Callable, Mapping

from tracker.domain.links import location

_KEPT = 200_000  # links in memory, about 50 MB
_MISSES_KEPT = 10_000
_MISS_SECONDS = 2.0  # a link may become known at any time: another replica read its event

LookUp = Callable[[str], Awaitable[str | None]]


class Destinations:
    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._known: dict[str, str] = {}
        self._missing: dict[str, float] = {}

    def add(self, links: Mapping[str, str]) -> None:
        """Learn links; one that must not be followed is forgotten at once."""
        for link_id, url in links.items():
            target = location(url)
            if target is None:
                continue
            if len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[link_id] = target
            self._missing.pop(link_id, None)

    def known(self, link_id: str) -> str | None:
        """The Location for a link, from memory only."""
        return self._known.get(link_id)

    async def find(self, link_id: str) -> str | None:
        """The Location for a link, or None. Raises PyMongoError when it is not in memory."""
        target = self._known.get(link_id)
        if target is not None or self._missing.get(link_id, 0.0) > time.monotonic():
            return target
        url = await self._look_up(link_id)
        if url is not None:
            self.add({link_id: url})
            target = self._known.get(link_id)
        if target is None:
            if len(self._missing) >= _MISSES_KEPT:
                self._missing.clear()
            self._missing[link_id] = time.monotonic() + _MISS_SECONDS
        return target
