"""Registering, changing and deleting senders: test the log-ins, decide, store."""

from dataclasses import dataclass, replace

from pydantic import SecretStr

from postfleet.events import MailServer
from postfleet.instants import to_ms
from postfleet.problems import FieldError, Problem, invalid, not_found
from postfleet.secrets import KeyRing
from sender_registry import forms
from sender_registry.changing import Changes, Decide
from sender_registry.connecting import Reach
from sender_registry.domain.announcing import created
from sender_registry.domain.presets import PRESETS
from sender_registry.domain.sender import Sender, Suspension, suspended
from sender_registry.domain.validation import Code
from sender_registry.identity import new_id
from sender_registry.store import AddressTaken
from sender_registry.validating import LogIn, Validation, validate
from sender_registry.views import validation_view

SERVICE = "sender-registry"


@dataclass(frozen=True, slots=True)
class Accounts:
    """The operations on senders. Each raises Problem with the answer to the caller."""

    changes: Changes
    ring: KeyRing
    reach: Reach

    async def register(self, form: forms.NewSender) -> tuple[Sender, Validation]:
        """Store a sender whose SMTP log-in works; one whose IMAP fails is stored restricted."""
        now = self.changes.clock()
        profile = forms.new_profile(form, now)
        preset = PRESETS[profile.inbox_type]
        smtp = forms.smtp_server(form, form.email_address, preset, None)
        imap = forms.imap_server(form, form.email_address, preset, None)
        if await self.changes.store.by_address(form.email_address):
            raise _taken()
        smtp_password = form.smtp_password.get_secret_value()
        imap_password = _given(form.imap_password) or smtp_password
        validation = await self._validate(smtp, smtp_password, imap, imap_password)
        _refuse_without_smtp(validation)
        now_ms = to_ms(self.changes.clock())
        sender = Sender(
            id=new_id(),
            revision=0,
            profile=profile,
            smtp=smtp,
            imap=imap,
            created_ms=now_ms,
            validated_ms=now_ms,
            secrets_ms=now_ms,
            imap_code=validation.imap_code,
        )
        secrets = self._sealed(sender.id, smtp_password, imap_password if imap else None)
        change = created(sender, now, self.changes.rules)
        try:
            await self.changes.store.insert(change, secrets)
        except AddressTaken as error:
            raise _taken() from error
        self.changes.relay.wake()
        return change.after, validation

    async def update(self, sender_id: str, form: forms.SenderFields) -> Sender:
        """Change what was given. New servers and passwords must pass the test first."""
        if forms.CONNECTION_FIELDS & form.model_fields_set:
            return await self._reconnect(sender_id, form)
        return await self._change(
            sender_id,
            lambda sender: replace(sender, profile=forms.patched_profile(sender.profile, form)),
        )

    async def revalidate(self, sender_id: str) -> tuple[Sender, Validation]:
        """Test the log-ins now; the status follows from the result."""
        sender = await self.get(sender_id)
        passwords = await self._passwords(sender_id)
        validation = await self._validate(
            sender.smtp, passwords["smtp"], sender.imap, passwords.get("imap", "")
        )
        tested = await self._change(
            sender_id, lambda s: self._tested(s, validation, sender.smtp, sender.imap)
        )
        return tested, validation

    async def suspend(self, sender_id: str, by: str, reason: str) -> Sender:
        return await self._change(sender_id, lambda sender: suspended(sender, by, reason))

    async def resume(self, sender_id: str) -> Sender:
        return await self._change(
            sender_id, lambda sender: replace(sender, suspension=Suspension())
        )

    async def delete(self, sender_id: str, confirm: str) -> None:
        """For good: the secrets are wiped with the same write that says so."""
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

    async def get(self, sender_id: str) -> Sender:
        sender = await self.changes.store.get(sender_id)
        if sender is None:
            raise not_found("sender account", sender_id)
        return sender

    # -- parts -----------------------------------------------------------------------------------

    async def _reconnect(self, sender_id: str, form: forms.SenderFields) -> Sender:
        old = await self.get(sender_id)
        email, preset = old.profile.email_address, PRESETS[old.profile.inbox_type]
        smtp = forms.smtp_server(form, email, preset, old.smtp)
        imap = forms.imap_server(form, email, preset, old.imap)
        known = await self._passwords(sender_id)
        smtp_password = _given(form.smtp_password) or known["smtp"]
        imap_password = _given(form.imap_password) or known.get("imap") or smtp_password
        validation = await self._validate(smtp, smtp_password, imap, imap_password)
        _refuse_without_smtp(validation)
        secrets = self._sealed(sender_id, smtp_password, imap_password if imap else None)
        now_ms = to_ms(self.changes.clock())

        def connected(sender: Sender) -> Sender:
            profile = forms.patched_profile(sender.profile, form)
            moved = replace(sender, profile=profile, smtp=smtp, imap=imap, secrets_ms=now_ms)
            return self._tested(moved, validation, smtp, imap)

        return await self._change(sender_id, connected, secrets)

    def _tested(
        self, sender: Sender, validation: Validation, smtp: MailServer, imap: MailServer | None
    ) -> Sender:
        """With the result of the test, unless the servers were changed meanwhile."""
        if (sender.smtp, sender.imap) != (smtp, imap):
            return sender
        return replace(
            sender,
            smtp_code=validation.smtp_code,
            imap_code=validation.imap_code,
            validated_ms=to_ms(self.changes.clock()),
        )

    async def _validate(
        self, smtp: MailServer, smtp_password: str, imap: MailServer | None, imap_password: str
    ) -> Validation:
        imap_log_in = LogIn(imap, imap_password) if imap else None
        return await validate(LogIn(smtp, smtp_password), imap_log_in, self.reach)

    async def _change(
        self, sender_id: str, decide: Decide, secrets: dict[str, str] | None = None
    ) -> Sender:
        sender = await self.changes.change(sender_id, decide, secrets)
        if sender is None:
            raise not_found("sender account", sender_id)
        return sender

    def _sealed(self, sender_id: str, smtp: str, imap: str | None) -> dict[str, str]:
        passwords = {"smtp": smtp} if imap is None else {"smtp": smtp, "imap": imap}
        return {
            protocol: self.ring.seal(
                password, service=SERVICE, record=sender_id, name=f"{protocol}_password"
            )
            for protocol, password in passwords.items()
        }

    async def _passwords(self, sender_id: str) -> dict[str, str]:
        sealed = await self.changes.store.secrets(sender_id)
        return {
            protocol: self.ring.open(
                text, service=SERVICE, record=sender_id, name=f"{protocol}_password"
            )
            for protocol, text in sealed.items()
        }


def _given(password: SecretStr | None) -> str:
    return password.get_secret_value() if password else ""


def _taken() -> Problem:
    return Problem(409, "ALREADY_EXISTS", "a sender with this email_address exists")


#: the field that an operator would look at first
_FIELDS = {Code.AUTH_FAILED: "smtp_password", Code.CONNECTION_REFUSED: "smtp_port"}


def _refuse_without_smtp(validation: Validation) -> None:
    check = validation.smtp
    if check.code is None:
        return
    field = _FIELDS.get(check.code, "smtp_host")
    raise Problem(
        422,
        check.code.value,
        f"the SMTP log-in fails: {check.detail}",
        [FieldError(field, check.code.value, check.detail)],
        validation=validation_view(validation),
    )
