"""Relays: other mail servers that deliver a domain's outgoing mail. Always by STARTTLS (S107)."""

from dataclasses import dataclass
from enum import StrEnum

MAP_FILE = "postfix-relaymap.cf"
PASSWORD_FILE = "postfix-sasl-password.cf"  # noqa: S105 (a file's name)


class EntryState(StrEnum):
    """Of what we keep in a file of the mail server."""

    WRITING = "writing"
    WRITTEN = "written"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class Preset:
    """`hints`: what the operator has to do on the relay's side."""

    name: str
    title: str
    host: str  # "{region}" is filled in; "" has to be given
    port: int = 587
    username: str = ""  # the fixed one, where there is one
    hints: tuple[str, ...] = ()


_APP_KEY_HINT = (
    '"Invalid login" or "Please log in via your web browser and then try again" means: make an app '
    "password for the account, and use that"
)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "ses",
            "Amazon SES",
            "email-smtp.{region}.amazonaws.com",
            hints=(
                "Verify the domain in SES and leave `Generate DKIM Settings` unchecked: this server "
                "signs already, and a second signer is not needed",
                "Set the DNS records that SES asks for (automatic when the domain is on Route 53)",
                "Create SMTP credentials: SES makes an IAM user for them",
                'The IAM policy of that user: {"Effect": "Allow", "Action": "ses:SendRawEmail", '
                '"Resource": "*"}',
                "A new account is in the sandbox: it sends to verified domains and the simulator "
                "only; ask for the limit you need, such as 500 mails a day, to leave it",
                "Then verify the set-up: `postfleet domains test-email`",
            ),
        ),
        Preset(
            "sendgrid",
            "SendGrid",
            "smtp.sendgrid.net",
            username="apikey",
            hints=("The password is an API key with the permission `Mail Send`",),
        ),
        Preset(
            "postmark",
            "Postmark",
            "smtp.postmarkapp.com",
            hints=("User name and password are both the server's API token",),
        ),
        Preset(
            "mailgun",
            "Mailgun",
            "smtp.mailgun.org",
            hints=(
                "Use the SMTP credentials of the domain; in the EU the host is smtp.eu.mailgun.org",
            ),
        ),
        Preset("google", "Google Workspace", "smtp-relay.gmail.com", hints=(_APP_KEY_HINT,)),
        Preset(
            "office365",
            "Office 365",
            "",
            port=25,
            hints=(
                "Add a connector in the Exchange admin center (Option 3): it accepts this server's "
                "static IP address, needs port 25 open, and no password",
                "The host is the domain's MX, such as example-com.mail.protection.outlook.com",
            ),
        ),
        Preset("custom", "Any other server", ""),
    )
}


@dataclass(frozen=True, slots=True)
class Relay:
    domain: str
    preset: str
    host: str
    port: int
    username: str  # "": the relay knows us by our address
    sealed_password: str
    state: EntryState
    created_at: int  # epoch ms
    error_code: str = ""
    error_reason: str = ""

    @property
    def key(self) -> str:
        return f"@{self.domain}"

    @property
    def map_value(self) -> str:
        """Brackets: no MX lookup, the host itself."""
        return f"[{self.host}]:{self.port}"


def explain(reply: str) -> str:
    """What a relay's refusal of a log-in means, in plain words; "" if nothing is known about it."""
    lowered = reply.lower()
    if "invalid login" in lowered or "log in via your web browser" in lowered:
        return _APP_KEY_HINT
    if "5.7.139" in lowered or "5.7.30" in lowered:
        return "Microsoft does not take passwords here any more: use a connector, without log-in"
    if "5.7.9" in lowered:
        return _APP_KEY_HINT
    return ""
