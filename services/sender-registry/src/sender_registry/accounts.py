"""Registering, changing and deleting senders: test the log-ins, decide, store."""

from dataclasses import dataclass, field, replace

from postfleet.addresses import domain_of
from postfleet.events.senders import MailServer
from postfleet.instants import to_ms
from postfleet.problems import Problem, invalid, not_found
from postfleet.secrets import CannotOpen
from sender_registry import forms
from sender_registry.changing import Changes, Decide
from sender_registry.connecting import Reach
from sender_registry.credentials import Credentials, given
from sender_registry.domain.announcing import created
from sender_registry.domain.health import MINIMUM_FOR_CAMPAIGNS
from sender_registry.domain.policy import Policy
from sender_registry.domain.presets import PRESETS
from sender_registry.domain.relay import RelayAccess, RelayLogin
from sender_registry.domain.sender import Profile, Sender, Suspension, suspended
from sender_registry.domain_store import DomainStore
from sender_registry.log_in_results import (
    new_sender,
    refuse_without_smtp,
    taken,
    tested,
)
from sender_registry.providers import Providers
from sender_registry.relay import issued, wants_login
from sender_registry.store import AddressTaken
from sender_registry.validating import LogIn, Validation, validate
from sender_registry.vault import Vault


@dataclass(frozen=True, slots=True)
class Registered:
    """`relay_password` is known now and never again; it is in no repr."""

    sender: Sender
    validation: Validation
    relay_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may become a sender, and how mail is handed in."""

    policy: Policy
    domains: DomainStore
    relay: RelayAccess


@dataclass(frozen=True, slots=True)
class Accounts:
    """The operations on senders. Each raises Problem with the answer to the caller."""

    changes: Changes
    vault: Vault
    reach: Reach
    providers: Providers
    rules: Rules

    async def register(
        self, form: forms.NewSender, allowed: Credentials | None = None
    ) -> Registered:
        """Store a sender whose SMTP log-in works; one whose IMAP fails is stored restricted.

        `allowed` is what the account holder granted, where that is why we are here.
        """
        if not form.email_address:
            raise invalid("email_address", "MISSING", "needed where kind is external")
        profile = forms.new_profile(form, self.changes.clock())
        preset = PRESETS[profile.inbox_type]
        smtp = forms.smtp_server(form, form.email_address, preset, None)
        imap = forms.imap_server(form, form.email_address, preset, None)
        await self.check_eligible(form.email_address)
        credentials = allowed or await given(form, profile.inbox_type, self.providers)
        if imap is None:
            credentials = credentials.without_imap()
        validation = await self._validate(smtp, imap, credentials)
        refuse_without_smtp(validation)
        now_ms = to_ms(self.changes.clock())
        password: str | None = None

        def accepted(sender: Sender) -> Sender:
            nonlocal password
            sender, password = self._with_login(sender)
            return tested(sender, validation, now_ms)

        sender = await self.store_new(profile, smtp, imap, credentials, accepted)
        return Registered(sender, validation, password)

    async def check_eligible(self, address: str) -> None:
        """Raises Problem where this address may not become a sender."""
        if reason := self.rules.policy.refusal(address):
            raise invalid("email_address", "NOT_PRIMARY_DOMAIN", reason)
        if found := await self.rules.domains.get(domain_of(address)):
            detail = f"{found.domain} is suspended: {found.reason}".rstrip(": ")
            raise Problem(409, "DOMAIN_SUSPENDED", detail)
        if await self.changes.store.by_address(address):
            raise taken()

    async def store_new(
        self,
        profile: Profile,
        smtp: MailServer,
        imap: MailServer | None,
        credentials: Credentials,
        prepare: Decide,
    ) -> Sender:
        """Store a sender that `prepare` has completed, with its secrets and its event."""
        await self.check_eligible(profile.email_address)
        now = self.changes.clock()
        sender = prepare(new_sender(profile, smtp, imap, credentials, to_ms(now)))
        change = created(sender, now, self.changes.rules)
        try:
            await self.changes.store.insert(change, self.vault.seal(sender.id, credentials.plain))
        except AddressTaken as error:
            raise taken() from error
        self.changes.relay.wake()
        return change.after

    async def update(self, sender_id: str, form: forms.SenderFields) -> tuple[Sender, str | None]:
        """Change what was given. New servers and passwords must pass the test first.

        Returns the password of a relay log-in that the change asked for, if it did.
        """
        if connection := sorted(forms.CONNECTION_FIELDS & form.model_fields_set):
            if (await self.get(sender_id)).profile.kind == "internal":
                raise invalid(connection[0], "UNUSED", "our own mail server is set up by itself")
            await self.reconnect(sender_id, form)
        password: str | None = None

        def patched(sender: Sender) -> Sender:
            nonlocal password
            profile = forms.patched_profile(sender.profile, form)
            sender, password = self._with_login(replace(sender, profile=profile))
            return sender

        return await self._change(sender_id, patched), password

    async def rotate_relay_password(self, sender_id: str) -> tuple[Sender, str]:
        """A new log-in for handing mail in; the old one ends at once."""
        password = ""

        def rotated(sender: Sender) -> Sender:
            nonlocal password
            sender, password = issued(sender, self.rules.relay)
            return sender

        return await self._change(sender_id, rotated), password

    def _with_login(self, sender: Sender) -> tuple[Sender, str | None]:
        """With a relay log-in exactly where its settings ask for one."""
        if not wants_login(sender.profile):
            return replace(sender, relay=RelayLogin()), None
        if sender.relay.login:
            return sender, None
        return issued(sender, self.rules.relay)

    async def revalidate(
        self, sender_id: str, then: Decide = lambda sender: sender
    ) -> tuple[Sender, Validation]:
        """Test the log-ins now; the status follows from the result, `then` in the same write."""
        sender = await self.get(sender_id)
        if sender.provisioning.state in ("requested", "failed"):
            raise Problem(409, "NO_MAILBOX", sender.judgement.reason)
        credentials = Credentials(await self._secrets(sender_id), sender.grant)
        validation = await self._validate(sender.smtp, sender.imap, credentials)
        now_ms = to_ms(self.changes.clock())

        def retested(found: Sender) -> Sender:
            """Unless the servers were changed meanwhile."""
            same = (found.smtp, found.imap) == (sender.smtp, sender.imap)
            return then(tested(found, validation, now_ms)) if same else found

        return await self._change(sender_id, retested), validation

    async def look_at_certificates(self, sender_id: str) -> None:
        """Take note of the certificates that the servers have now; a failure says nothing."""
        sender = await self.get(sender_id)
        credentials = Credentials(await self._secrets(sender_id), sender.grant)
        validation = await self._validate(sender.smtp, sender.imap, credentials)

        def seen(found: Sender) -> Sender:
            imap = validation.imap
            return replace(
                found,
                smtp_certificate_ms=validation.smtp.certificate_until_ms
                or found.smtp_certificate_ms,
                imap_certificate_ms=(imap.certificate_until_ms if imap else 0)
                or found.imap_certificate_ms,
            )

        await self._change(sender_id, seen)

    async def suspend(self, sender_id: str, by: str, reason: str) -> Sender:
        return await self._change(sender_id, lambda sender: suspended(sender, by, reason))

    async def resume(self, sender_id: str) -> Sender:
        """End a suspension; a health too low for campaigns begins again where they are allowed."""
        return await self._change(
            sender_id,
            lambda sender: replace(
                sender,
                suspension=Suspension(),
                health=max(sender.health, MINIMUM_FOR_CAMPAIGNS),
            ),
        )

    async def delete(self, sender_id: str, confirm: str) -> Sender:
        """For good: the secrets are wiped with the same write that says so. Returns what it was."""
        sender = await self.get(sender_id)
        if confirm.lower() != sender.profile.email_address.lower():
            message = "repeat the e-mail address of the sender; deletion is irreversible"
            raise invalid("confirm", "NOT_CONFIRMED", message)
        now_ms = to_ms(self.changes.clock())
        gone = await self.changes.change(
            sender_id, lambda s: replace(s, deleted_ms=now_ms), secrets={}
        )
        if gone is None:
            raise not_found("sender account", sender_id)
        return sender

    async def get(self, sender_id: str) -> Sender:
        sender = await self.changes.store.get(sender_id)
        if sender is None:
            raise not_found("sender account", sender_id)
        return sender

    # -- parts -----------------------------------------------------------------------------------

    async def reconnect(
        self, sender_id: str, form: forms.SenderFields, allowed: Credentials | None = None
    ) -> Sender:
        """Log in with what was given or `allowed`; only what works is stored."""
        old = await self.get(sender_id)
        email, kind = old.profile.email_address, old.profile.inbox_type
        smtp = forms.smtp_server(form, email, PRESETS[kind], old.smtp)
        imap = forms.imap_server(form, email, PRESETS[kind], old.imap)
        known = self.vault.readable(sender_id, await self.changes.store.secrets(sender_id))
        credentials = allowed or await given(form, kind, self.providers, old, known)
        if imap is None:
            credentials = credentials.without_imap()
        validation = await self._validate(smtp, imap, credentials)
        refuse_without_smtp(validation)
        now_ms = to_ms(self.changes.clock())

        def connected(sender: Sender) -> Sender:
            if sender.grant != old.grant:  # our tokens are no longer the newest
                raise Problem(409, "CHANGED_MEANWHILE", "a token was refreshed; try again")
            profile = forms.patched_profile(sender.profile, form)
            moved = replace(
                sender,
                profile=profile,
                smtp=smtp,
                imap=imap,
                secrets_ms=now_ms,
                grant=credentials.grant,
            )
            return tested(moved, validation, now_ms)

        secrets = self.vault.seal(sender_id, credentials.plain)
        return await self._change(sender_id, connected, secrets)

    async def _validate(
        self, smtp: MailServer, imap: MailServer | None, credentials: Credentials
    ) -> Validation:
        plain = credentials.plain
        imap_log_in = LogIn(imap, plain.get("imap", "")) if imap else None
        return await validate(LogIn(smtp, plain["smtp"]), imap_log_in, self.reach)

    async def _change(
        self, sender_id: str, decide: Decide, secrets: dict[str, str] | None = None
    ) -> Sender:
        sender = await self.changes.change(sender_id, decide, secrets)
        if sender is None:
            raise not_found("sender account", sender_id)
        return sender

    async def _secrets(self, sender_id: str) -> dict[str, str]:
        try:
            return self.vault.open(sender_id, await self.changes.store.secrets(sender_id))
        except CannotOpen as error:
            remedy = "its secret opens with no key of MASTER_KEY; set the password again"
            raise Problem(409, "SECRET_UNREADABLE", remedy) from error
