"""What a sender logs in with: passwords that the caller gave, or tokens that a provider gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from postfleet.problems import Problem, invalid
from sender_registry.domain.oauth import Grant, GrantRefused, ProviderFailed, Tokens
from sender_registry.domain.presets import PRESETS, InboxType
from sender_registry.domain.sender import Sender
from sender_registry.forms import SenderFields
from sender_registry.providers import Providers
from sender_registry.token_keeper import login_secrets


@dataclass(frozen=True, slots=True)
class Credentials:
    """`plain` has the keys of `vault.NAMES`; it is in no repr."""

    plain: Mapping[str, str] = field(repr=False)
    grant: Grant = field(default_factory=Grant)

    def without_imap(self) -> "Credentials":
        plain = {key: text for key, text in self.plain.items() if key != "imap"}
        return Credentials(plain, self.grant)


def from_tokens(provider: str, tokens: Tokens, refresh: str = "") -> Credentials:
    """`refresh` is the token that was used, for providers that give no new one."""
    plain = login_secrets(tokens.access, tokens.refresh or refresh, imap=True)
    return Credentials(plain, Grant(provider).renewed(tokens))


def auth_method(form: SenderFields, old: Sender | None) -> str:
    if old is None or "auth_method" in form.model_fields_set:
        return form.auth_method
    return old.smtp.auth_method


async def given(
    form: SenderFields,
    kind: InboxType,
    providers: Providers,
    old: Sender | None = None,
    known: Mapping[str, str] | None = None,
) -> Credentials:
    """From the form, else what was `known` of the old sender. Raises Problem."""
    if auth_method(form, old) == "xoauth2":
        return await _tokens(form, kind, providers, old, known or {})
    kept = known if known and old and old.smtp.auth_method == "password" else {}
    smtp = _text(form.smtp_password) or kept.get("smtp", "")
    if not smtp:
        raise invalid("smtp_password", "MISSING", "needed where auth_method is password")
    return Credentials(
        {"smtp": smtp, "imap": _text(form.imap_password) or kept.get("imap") or smtp}
    )


async def _tokens(
    form: SenderFields,
    kind: InboxType,
    providers: Providers,
    old: Sender | None,
    known: Mapping[str, str],
) -> Credentials:
    for name in ("smtp_password", "imap_password"):
        if getattr(form, name) is not None:
            raise invalid(name, "UNUSED", "there is no password where auth_method is xoauth2")
    if form.oauth is None:
        if old and old.smtp.auth_method == "xoauth2":
            return Credentials(known, old.grant)
        remedy = "give oauth.refresh_token, or let the account holder allow it: …/oauth/start"
        raise invalid("oauth", "MISSING", remedy)
    provider = provider_name(form.oauth.provider, kind, providers)
    refresh = form.oauth.refresh_token.get_secret_value()
    try:
        tokens = await providers.refresh(provider, refresh)
    except (GrantRefused, ProviderFailed) as error:
        raise provider_problem(error) from error
    return from_tokens(provider, tokens, refresh)


def provider_name(asked: str | None, kind: InboxType, providers: Providers) -> str:
    """Raises Problem (422) where none is known, or the operator has registered no client."""
    name = asked or PRESETS[kind].oauth
    if not name:
        raise invalid("oauth", "MISSING", "this inbox_type has no OAuth provider; name one")
    if providers.get(name) is None:
        variable = f"POSTFLEET_SENDER_REGISTRY_{name.upper()}_CLIENT_ID"
        raise invalid("oauth", "NOT_CONFIGURED", f"set {variable} and its secret first")
    return name


def provider_problem(error: GrantRefused | ProviderFailed) -> Problem:
    if isinstance(error, GrantRefused):
        return Problem(422, "AUTH_FAILED", f"the provider refuses the grant: {error}")
    return Problem(503, "UNAVAILABLE", f"{error}; try again", headers={"Retry-After": "10"})


def _text(password: SecretStr | None) -> str:
    return password.get_secret_value() if password else ""
