"""Access tokens that are always fresh: refreshed ahead of their end, by one replica at a time."""

import logging
from dataclasses import dataclass, replace

from postfleet.instants import to_ms
from postfleet.secrets import CannotOpen
from sender_registry.changing import Changes, Decide
from sender_registry.domain.oauth import (
    CLAIM_MS,
    RETRY_MS,
    Grant,
    GrantRefused,
    ProviderFailed,
    Tokens,
)
from sender_registry.domain.sender import Sender
from sender_registry.domain.validation import Code
from sender_registry.providers import Providers
from sender_registry.store import Secrets
from sender_registry.vault import Vault

log = logging.getLogger(__name__)

_PAGE = 100


@dataclass(frozen=True, slots=True)
class TokenKeeper:
    """Refreshes the tokens of senders whose account holders allowed it."""

    changes: Changes
    vault: Vault
    providers: Providers

    async def sweep(self) -> None:
        """Refresh whatever is due."""
        for sender in await self.changes.store.tokens_due(_PAGE):
            await self.refresh(sender.id)

    async def refresh(self, sender_id: str) -> None:
        """One refresh, if nobody else has begun one; its outcome is stored either way."""
        claimed = await self._claim(sender_id)
        if claimed is None:
            return
        sealed = await self.changes.store.secrets(sender_id)
        try:
            token = self.vault.open(sender_id, sealed)["refresh"]
            tokens = await self.providers.refresh(claimed.grant.provider, token)
        except (GrantRefused, CannotOpen, KeyError) as refusal:
            log.warning("the grant of sender %s is of no use: %r", sender_id, refusal)
            await self._settle(claimed, _ended)
        except ProviderFailed as failure:
            log.warning("no new token for sender %s, tried again soon: %s", sender_id, failure)
            await self._settle(claimed, self._postponed)
        else:
            has_imap = claimed.imap is not None
            plain = login_secrets(tokens.access, tokens.refresh or token, imap=has_imap)
            secrets = self.vault.seal(sender_id, plain)
            await self._settle(claimed, lambda s: _renewed(s, tokens), secrets)

    async def _claim(self, sender_id: str) -> Sender | None:
        """The sender, if the refresh is ours: the guarded write decides between replicas."""
        now_ms = to_ms(self.changes.clock())
        ours = False

        def claim(sender: Sender) -> Sender:
            nonlocal ours
            ours = 0 < sender.grant.refresh_at_ms <= now_ms
            until_ms = now_ms + CLAIM_MS
            return _with(sender, refresh_at_ms=until_ms) if ours else sender

        sender = await self.changes.change(sender_id, claim)
        return sender if ours else None

    async def _settle(
        self, claimed: Sender, decide: Decide, secrets: Secrets | None = None
    ) -> None:
        """Write the outcome, unless the grant was replaced meanwhile: then it is nobody's."""

        def unless_replaced(sender: Sender) -> Sender:
            same = (sender.grant, sender.smtp, sender.imap) == (
                claimed.grant,
                claimed.smtp,
                claimed.imap,
            )
            return decide(sender) if same else sender

        await self.changes.change(claimed.id, unless_replaced, secrets)

    def _postponed(self, sender: Sender) -> Sender:
        return _with(sender, refresh_at_ms=to_ms(self.changes.clock()) + RETRY_MS)


def login_secrets(access: str, refresh: str, *, imap: bool) -> dict[str, str]:
    """What is stored for a sender that logs in with tokens."""
    secrets = {"smtp": access, "refresh": refresh}
    return {**secrets, "imap": access} if imap else secrets


def _with(sender: Sender, *, refresh_at_ms: int) -> Sender:
    return replace(sender, grant=replace(sender.grant, refresh_at_ms=refresh_at_ms))


def _renewed(sender: Sender, tokens: Tokens) -> Sender:
    return replace(sender, grant=sender.grant.renewed(tokens))


def _ended(sender: Sender) -> Sender:
    """The account holder must allow it again; until then every log-in would be refused."""
    grant = Grant(sender.grant.provider)
    imap_code = Code.AUTH_FAILED if sender.imap else ""
    return replace(sender, grant=grant, smtp_code=Code.AUTH_FAILED.value, imap_code=str(imap_code))
