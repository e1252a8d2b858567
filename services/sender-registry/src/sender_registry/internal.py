"""Internal senders: a mailbox on our own mail server, made and logged in to without anybody typing.

The sender is stored first, and its id is the request's: whatever is lost on the way is asked for
again by the sweep, and makes no second mailbox.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from postfleet.addresses import split_address
from postfleet.cloudevents import Received
from postfleet.events.domains import MailboxCreated, MailboxFailed
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.instants import to_ms
from postfleet.outages import Unavailable
from postfleet.problems import Problem, invalid
from postfleet.rpc import RequestRefused
from postfleet.secrets import CannotOpen, KeyRing
from postfleet.topology import RPC_MAILBOX_CREATE, RPC_MAILBOX_DELETE, RPC_MAILBOX_SECRET
from sender_registry.accounts import Accounts
from sender_registry.credentials import Credentials
from sender_registry.domain.sender import Provisioning, Sender
from sender_registry.domain.status import MAILBOX_FAILED, PROVISIONING
from sender_registry.forms import CONNECTION_FIELDS, NewSender, new_profile

log = logging.getLogger(__name__)

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

_PAGE = 100
_EVERY_SECONDS = 10.0
_USABLE = ("written", "live")  # of the provisioner's states
_OVER = ("refused", "failed", "deleted")


@dataclass(frozen=True, slots=True)
class MailHost:
    """Our own mail server, as clients reach it."""

    host: str
    submission_port: int = 587
    imaps_port: int = 993

    def smtp(self, username: str) -> MailServer:
        return MailServer(
            host=self.host,
            port=self.submission_port,
            security=SmtpSecurity.STARTTLS,
            username=username,
        )

    def imap(self, username: str) -> MailServer:
        return MailServer(
            host=self.host, port=self.imaps_port, security=SmtpSecurity.IMPLICIT, username=username
        )


class InternalSenders:
    """requested -> mailbox_created -> ready, or failed."""

    def __init__(self, accounts: Accounts, ring: KeyRing, ask: Ask, host: MailHost) -> None:
        self._accounts = accounts
        self._changes = accounts.changes
        self._ring = ring
        self._ask = ask
        self._host = host
        self._swept = 0.0

    async def register(self, form: NewSender) -> Sender:
        """Store it, ask for its mailbox, and go as far as that is at once. Raises Problem."""
        form = _checked(form)
        if not self._host.host:
            remedy = "set POSTFLEET_SENDER_REGISTRY_MAIL_HOST to the mail server's name"
            raise invalid("kind", "NOT_CONFIGURED", remedy)
        profile = new_profile(form, self._changes.clock())
        address = form.email_address
        smtp, imap = self._host.smtp(address), self._host.imap(address)
        sender = await self._accounts.store_new(
            profile,
            smtp,
            imap,
            Credentials({}),
            lambda s: replace(s, smtp_code=PROVISIONING, provisioning=Provisioning("requested")),
        )
        await self._advance(sender)
        found = await self._changes.store.get(sender.id)
        if found is None or found.provisioning.state == "failed":
            detail = found.provisioning.detail if found else "refused"
            await self._forget(sender)
            code, _, reason = detail.partition(": ")
            raise Problem(422, code, f"the mailbox cannot be made: {reason}")
        return found

    async def created(self, received: Received[MailboxCreated]) -> None:
        """The mailbox that we asked for is there, or one whose sender was deleted meanwhile."""
        event = received.event
        if not event.request_id:
            return
        sender = await self._changes.store.get(event.request_id)
        if sender is not None:
            await self._finish(sender)
        elif await self._changes.store.was_here(event.request_id):
            await self._undo(event.address, event.request_id)

    async def failed(self, received: Received[MailboxFailed]) -> None:
        event = received.event
        if event.request_id:
            await self._changes.change(
                event.request_id, lambda s: _failed(s, event.code, event.reason)
            )

    async def sweep(self) -> None:
        """Ask again for what is not ready, every ten seconds."""
        if time.monotonic() - self._swept < _EVERY_SECONDS:
            return
        self._swept = time.monotonic()
        for sender in await self._changes.store.being_provisioned(_PAGE):
            await self._advance(sender)

    async def gone(self, sender: Sender) -> None:
        """A mailbox that never became a sender's is removed; one that has mail is the operator's."""
        if sender.provisioning.state in ("requested", "mailbox_created"):
            await self._undo(sender.profile.email_address, sender.id)

    # -- parts -----------------------------------------------------------------------------------

    async def _advance(self, sender: Sender) -> None:
        """Whatever fails here for want of an answer is tried again by the sweep."""
        prefix, _, domain = sender.profile.email_address.rpartition("@")
        request = {
            "domain": domain,
            "prefix": prefix,
            "request_id": sender.id,
            "display_name": sender.profile.display_name,
        }
        try:
            answer = await self._ask(RPC_MAILBOX_CREATE, request)
        except (Unavailable, RequestRefused) as error:
            log.warning("no mailbox for sender %s yet: %s", sender.id, error)
            return
        state = answer.get("state")
        if state in _OVER:
            code, reason = str(answer.get("code") or "REFUSED"), str(answer.get("reason", ""))
            await self._changes.change(sender.id, lambda s: _failed(s, code, reason))
        elif state in _USABLE:
            await self._finish(sender)

    async def _finish(self, sender: Sender) -> None:
        """Fetch the password, keep it sealed for us, and test the log-ins with it."""
        if sender.provisioning.state not in ("requested", "mailbox_created"):
            return
        if sender.provisioning.state == "requested":
            try:
                password = await self._fetch(sender.profile.email_address)
            except (Unavailable, RequestRefused, CannotOpen) as error:
                log.warning("no password for sender %s yet: %s", sender.id, error)
                return
            vault = self._accounts.vault
            secrets = vault.seal(sender.id, {"smtp": password, "imap": password})
            now_ms = to_ms(self._changes.clock())
            await self._changes.change(
                sender.id,
                lambda s: replace(
                    s, provisioning=Provisioning("mailbox_created"), secrets_ms=now_ms
                ),
                secrets,
            )
        await self._accounts.revalidate(sender.id, _ready)

    async def _fetch(self, address: str) -> str:
        answer = await self._ask(RPC_MAILBOX_SECRET, {"address": address})
        return self._ring.open(
            answer["sealed"],
            service=answer["service"],
            record=answer["record"],
            name=answer["name"],
        )

    async def _undo(self, address: str, request_id: str) -> None:
        try:
            await self._ask(RPC_MAILBOX_DELETE, {"address": address, "request_id": request_id})
        except RequestRefused as refusal:
            log.info("no mailbox %s to remove: %s", request_id, refusal)
        except Unavailable as error:
            log.error("the mailbox of sender %s is left behind: %s", request_id, error)

    async def _forget(self, sender: Sender) -> None:
        now_ms = to_ms(self._changes.clock())
        await self._changes.change(sender.id, lambda s: replace(s, deleted_ms=now_ms), secrets={})


def _checked(form: NewSender) -> NewSender:
    for name in sorted(CONNECTION_FIELDS & form.model_fields_set):
        raise invalid(name, "UNUSED", "our own mail server is set up by itself")
    for name in ("domain", "prefix"):
        if getattr(form, name) is None:
            raise invalid(name, "MISSING", "needed where kind is internal")
    address = f"{form.prefix}@{form.domain}".lower()
    try:
        split_address(address)
    except ValueError as error:
        raise invalid("prefix", "INVALID", str(error)) from error
    if form.email_address and form.email_address.lower() != address:
        raise invalid("email_address", "AMBIGUOUS", f"domain and prefix say {address}")
    return form.model_copy(update={"email_address": address})


def _failed(sender: Sender, code: str, reason: str) -> Sender:
    if sender.provisioning.state == "ready":
        return sender
    failed = Provisioning("failed", f"{code}: {reason}")
    return replace(sender, provisioning=failed, smtp_code=MAILBOX_FAILED)


def _ready(sender: Sender) -> Sender:
    """Only once it can log in: a server that is slow to know a new mailbox is asked again."""
    if sender.smtp_code:
        return sender
    return replace(sender, provisioning=Provisioning("ready"))
