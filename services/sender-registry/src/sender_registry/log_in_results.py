"""What a test of the log-ins makes of a sender, and of the caller's request."""

from dataclasses import replace

from postfleet.events.senders import MailServer
from postfleet.problems import FieldError, Problem
from sender_registry.credentials import Credentials
from sender_registry.domain.sender import Profile, Sender
from sender_registry.domain.validation import Code
from sender_registry.identity import new_id
from sender_registry.validating import Validation
from sender_registry.views import validation_view


def new_sender(
    profile: Profile,
    smtp: MailServer,
    imap: MailServer | None,
    credentials: Credentials,
    now_ms: int,
) -> Sender:
    return Sender(
        id=new_id(),
        revision=0,
        profile=profile,
        smtp=smtp,
        imap=imap,
        created_ms=now_ms,
        validated_ms=now_ms,
        secrets_ms=now_ms,
        grant=credentials.grant,
    )


def tested(sender: Sender, validation: Validation, now_ms: int) -> Sender:
    imap = validation.imap
    return replace(
        sender,
        smtp_code=validation.smtp_code,
        imap_code=validation.imap_code,
        smtp_certificate_ms=validation.smtp.certificate_until_ms,
        imap_certificate_ms=imap.certificate_until_ms if imap else 0,
        validated_ms=now_ms,
    )


def taken() -> Problem:
    return Problem(409, "ALREADY_EXISTS", "a sender with this email_address exists")


#: the field that an operator would look at first
_FIELDS = {Code.AUTH_FAILED: "smtp_password", Code.CONNECTION_REFUSED: "smtp_port"}


def refuse_without_smtp(validation: Validation) -> None:
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
