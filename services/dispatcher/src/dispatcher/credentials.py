"""Passwords of senders: asked of the registry when a connection is opened, kept only meanwhile."""

from postfleet.bus import Bus
from postfleet.secrets import KeyRing
from postfleet.topology import RPC_CREDENTIALS


class Credentials:
    def __init__(self, bus: Bus, ring: KeyRing) -> None:
        self._bus = bus
        self._ring = ring

    async def smtp_password(self, sender_id: str) -> str:
        """Raises Unavailable, RequestRefused (unknown, suspended) or CannotOpen."""
        answer = await self._bus.request(
            RPC_CREDENTIALS, {"sender_id": sender_id, "protocol": "smtp"}
        )
        return self._ring.open(
            answer["sealed"], service="sender-registry", record=sender_id, name="smtp_password"
        )
