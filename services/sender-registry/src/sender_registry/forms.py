"""What callers may say about a sender: the fields, their forms, and what they become."""

import re
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr

from postfleet.addresses import check_domain, check_name, check_text, split_address
from postfleet.events.senders import MailServer
from postfleet.http import Strict
from postfleet.instants import to_ms
from postfleet.problems import invalid
from sender_registry.domain.presets import PRESETS, InboxType, Preset
from sender_registry.domain.security import Asked, imap_security, smtp_security
from sender_registry.domain.sender import AccessMethod, Profile, SmtpAuthentication

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def _address(value: str) -> str:
    split_address(value)
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        _literal(value)
    return value


def _literal(value: str) -> None:
    try:
        ip_address(value)
    except ValueError:
        raise ValueError("this is neither a host name nor an IP address") from None


def _network(value: str) -> str:
    return str(ip_network(value))


def _text(max_octets: int) -> AfterValidator:
    return AfterValidator(lambda value: check_name(value, max_octets=max_octets))


def _secret(value: SecretStr) -> SecretStr:
    check_text(value.get_secret_value(), max_octets=1024)
    return value


Address = Annotated[str, AfterValidator(_address)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
Line = Annotated[str, _text(256)]
Tag = Annotated[str, Field(min_length=1), _text(64)]
UserName = Annotated[str, Field(min_length=1), _text(320)]
Network = Annotated[str, AfterValidator(_network)]
Mails = Annotated[int, Field(ge=1, le=1_000_000_000)]  # the database's integers have 64 bits
AuthMethod = Literal["password", "xoauth2"]
Password = Annotated[SecretStr, Field(min_length=1), AfterValidator(_secret)]


class OAuthFields(Strict):
    """A grant that was made elsewhere; `provider` is known from most inbox types."""

    provider: Literal["google", "microsoft"] | None = None
    refresh_token: Password


class SenderFields(Strict):
    """What may be said at any time. In a PATCH only the fields that are there count."""

    display_name: Line = ""
    name: Line = ""
    description: Annotated[str, _text(2000)] = ""
    tags: Annotated[tuple[Tag, ...], Field(max_length=50, strict=False)] = ()
    daily_limit: Mails = 50
    monthly_limit: Mails | None = None
    warmup_mode: bool = False
    access_methods: Annotated[tuple[AccessMethod, ...], Field(min_length=1, strict=False)] = (
        "campaign",
    )
    smtp_authentication: SmtpAuthentication | None = None
    allowed_ips: Annotated[tuple[Network, ...], Field(max_length=100, strict=False)] = ()
    bcc: Address | None = None
    archive: Address | None = None
    smtp_host: Host | None = None
    smtp_port: Port | None = None
    smtp_username: UserName | None = None
    smtp_password: Password | None = None
    smtp_use_tls: bool = True
    smtp_security: Asked = "auto"
    imap_host: Host | None = None
    imap_port: Port | None = None
    imap_username: UserName | None = None
    imap_password: Password | None = None
    imap_use_ssl: bool = True
    auth_method: AuthMethod = "password"
    oauth: OAuthFields | None = None


class NewSender(SenderFields):
    """`POST /sender-accounts`."""

    email_address: Address = ""  # follows from domain and prefix where kind is internal
    inbox_type: Annotated[InboxType, Field(strict=False)] = InboxType.CUSTOM_SMTP
    kind: Literal["external", "internal"] = "external"
    domain: Annotated[str, AfterValidator(check_domain)] | None = None
    prefix: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    established_at: Annotated[AwareDatetime, Field(strict=False)] | None = None
    account_age_days: Annotated[int, Field(ge=0, le=36_500)] | None = None


class Suspend(Strict):
    """`POST /sender-accounts/{id}/suspend`."""

    reason: Line = ""


_CONNECTION = tuple(name for name in SenderFields.model_fields if name[:5] in ("smtp_", "imap_"))
CONNECTION_FIELDS = frozenset({*_CONNECTION, "auth_method", "oauth"}) - {"smtp_authentication"}
_PROFILE_FIELDS = frozenset(SenderFields.model_fields) - CONNECTION_FIELDS


# -- what the fields become ----------------------------------------------------------------------


def new_profile(form: NewSender, now: datetime) -> Profile:
    """The profile of a new sender. Raises Problem (422)."""
    for name in ("domain", "prefix") if form.kind == "external" else ():
        if getattr(form, name) is not None:
            raise invalid(name, "UNUSED", "only where kind is internal; email_address says it all")
    return _checked(
        Profile(
            email_address=form.email_address,
            kind=form.kind,
            inbox_type=form.inbox_type,
            established_ms=_established_ms(form, now),
            **_plain(form, _PROFILE_FIELDS),
        )
    )


def patched_profile(profile: Profile, form: SenderFields) -> Profile:
    """The profile with the fields that were given. Raises Problem (422)."""
    given = _plain(form, _PROFILE_FIELDS & form.model_fields_set)
    known = {name: getattr(profile, name) for name in Profile.__dataclass_fields__}
    return _checked(Profile(**{**known, **given}))


def _plain(form: SenderFields, names: frozenset[str]) -> dict[str, Any]:
    return {name: getattr(form, name) for name in names}


def _checked(profile: Profile) -> Profile:
    maximum = PRESETS[profile.inbox_type].max_daily_limit
    if profile.daily_limit > maximum:
        message = f"{profile.inbox_type.value} allows at most {maximum} mails a day"
        raise invalid("daily_limit", "ABOVE_PROVIDER_MAXIMUM", message)
    if profile.smtp_authentication and "smtp" not in profile.access_methods:
        message = 'applies only with "smtp" in access_methods'
        raise invalid("smtp_authentication", "NEEDS_SMTP_ACCESS", message)
    if profile.smtp_authentication == "ip" and not profile.allowed_ips:
        message = "name the addresses that are let in; without them nobody is"
        raise invalid("allowed_ips", "MISSING", message)
    return profile


def _established_ms(form: NewSender, now: datetime) -> int | None:
    if form.established_at is not None and form.account_age_days is not None:
        raise invalid("account_age_days", "AMBIGUOUS", "give it or established_at, not both")
    if form.account_age_days is not None:
        return to_ms(now - timedelta(days=form.account_age_days))
    if form.established_at is None:
        return None
    if form.established_at > now:
        raise invalid("established_at", "IN_THE_FUTURE", "it is not yet that late")
    return to_ms(form.established_at)


def smtp_server(
    form: SenderFields, email: str, preset: Preset, old: MailServer | None
) -> MailServer:
    """From the fields, else from `old`, else from the preset. Raises Problem (422)."""
    host = form.smtp_host or (old.host if old else preset.smtp_host)
    if not host:
        raise invalid("smtp_host", "MISSING", "this inbox_type has no default; name your server")
    port = form.smtp_port or (old.port if old else preset.smtp_port)
    security = smtp_security(form.smtp_security, port, form.smtp_use_tls)
    if old and not {"smtp_port", "smtp_security", "smtp_use_tls"} & form.model_fields_set:
        security = old.security
    username = form.smtp_username or (old.username if old else preset.smtp_username or email)
    method = _auth_method(form, old)
    return MailServer(
        host=host, port=port, security=security, username=username, auth_method=method
    )


def imap_server(
    form: SenderFields, email: str, preset: Preset, old: MailServer | None
) -> MailServer | None:
    """As `smtp_server`; None where there is none, which an explicit `imap_host: null` also says."""
    if "imap_host" in form.model_fields_set and form.imap_host is None:
        return None
    host = form.imap_host or (old.host if old else preset.imap_host)
    if not host:
        if given := {"imap_port", "imap_username", "imap_password"} & form.model_fields_set:
            raise invalid("imap_host", "MISSING", f"needed for {min(given)}")
        return None
    port = form.imap_port or (old.port if old else preset.imap_port)
    security = imap_security(form.imap_use_ssl)
    if old and "imap_use_ssl" not in form.model_fields_set:
        security = old.security
    username = form.imap_username or (old.username if old else email)
    method = _auth_method(form, old)
    return MailServer(
        host=host, port=port, security=security, username=username, auth_method=method
    )


def _auth_method(form: SenderFields, old: MailServer | None) -> AuthMethod:
    if old is None or "auth_method" in form.model_fields_set:
        return form.auth_method
    return old.auth_method
