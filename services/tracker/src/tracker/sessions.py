"""Dashboard log-ins: a signed cookie that holds the log-in key's hash, sealed.

No session is stored: the key is looked up again with every request, so a revoked key ends its
sessions, and a new MASTER_KEY keeps them as long as the old one is in the ring.
"""

from itsdangerous import BadData, URLSafeTimedSerializer

from postfleet.api_keys import ApiKey, Authenticator, Scope, hash_key
from postfleet.secrets import CannotOpen, KeyRing

COOKIE = "postfleet_session"
_WHERE = {"service": "tracker", "record": "session", "name": "key"}


class Sessions:
    def __init__(self, ring: KeyRing, authenticator: Authenticator, seconds: int) -> None:
        keys = list(ring.derive("dashboard session").values())
        self._signer = URLSafeTimedSerializer(list(reversed(keys)), salt="session")
        self._ring = ring
        self._authenticator = authenticator
        self.seconds = seconds

    async def open(self, key: str) -> str | None:
        """The cookie of a new session, or None if the key may not read."""
        found = await self._authenticator.check(key)
        if found is None or not found.may(Scope.READ):
            return None
        signed = self._signer.dumps(self._ring.seal(hash_key(key), **_WHERE))
        return signed if isinstance(signed, str) else signed.decode()

    async def holder(self, cookie: str) -> ApiKey | None:
        """The key behind a cookie, if it is ours, not too old, and the key still may read."""
        try:
            sealed = self._signer.loads(cookie, max_age=self.seconds)
            hashed = self._ring.open(str(sealed), **_WHERE)
        except (BadData, CannotOpen):
            return None
        found = await self._authenticator.check_hash(hashed)
        return found if found and found.may(Scope.READ) else None
