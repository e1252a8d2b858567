"""Dashboard log-ins: a signed cookie that holds the log-in key, encrypted with MASTER_KEY.

The key itself and not its hash, because the dashboard asks the other services in its user's name.
Only this service can open the cookie; no script can read it, and no other site can send it.

No session is stored: the key is looked up again with every request, so a revoked key ends its
sessions, and a new MASTER_KEY keeps them as long as the old one is in the ring.
"""

from itsdangerous import BadData, URLSafeTimedSerializer

from postfleet.api_keys import Authenticator, Scope
from postfleet.secrets import CannotOpen, KeyRing

COOKIE = "postfleet_session"
_TOLD_SECONDS = 60
_WHERE = {"service": "tracker", "record": "session", "name": "key"}


class Sessions:
    def __init__(self, ring: KeyRing, authenticator: Authenticator, seconds: int) -> None:
        keys = list(ring.derive("dashboard session").values())
        self._signer = URLSafeTimedSerializer(list(reversed(keys)), salt="session")
        self._words = URLSafeTimedSerializer(list(reversed(keys)), salt="told")
        self._ring = ring
        self._authenticator = authenticator
        self.seconds = seconds

    async def open(self, key: str) -> str | None:
        """The cookie of a new session, or None if the key may not read."""
        found = await self._authenticator.check(key)
        if found is None or not found.may(Scope.READ):
            return None
        signed = self._signer.dumps(self._ring.seal(key, **_WHERE))
        return signed if isinstance(signed, str) else signed.decode()

    async def key(self, cookie: str) -> str | None:
        """The key behind a cookie, if it is ours, not too old, and the key still may read."""
        try:
            sealed = self._signer.loads(cookie, max_age=self.seconds)
            key = self._ring.open(str(sealed), **_WHERE)
        except (BadData, CannotOpen):
            return None
        found = await self._authenticator.check(key)
        return key if found and found.may(Scope.READ) else None

    def sign(self, text: str) -> str:
        """A text that the next page shows: signed, because it goes through the address."""
        signed = self._words.dumps(text)
        return signed if isinstance(signed, str) else signed.decode()

    def read(self, signed: str) -> str:
        """The text, if we signed it within the last minute; else ""."""
        try:
            return str(self._words.loads(signed, max_age=_TOLD_SECONDS)) if signed else ""
        except BadData:
            return ""
