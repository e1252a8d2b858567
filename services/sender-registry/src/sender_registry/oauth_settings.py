"""The OAuth clients that an operator has registered, from the settings."""

from sender_registry.domain.oauth import Endpoints
from sender_registry.settings import Settings


def endpoints(settings: Settings) -> dict[str, Endpoints]:
    """The providers with a client, by name."""
    found: dict[str, Endpoints] = {}
    if settings.google_client_id:
        found["google"] = Endpoints(
            "google",
            settings.google_authorize_url,
            settings.google_token_url,
            "https://mail.google.com/",
            settings.google_client_id,
            settings.google_client_secret.get_secret_value(),
            # Without these Google gives no refresh token to whoever allowed us before.
            (("access_type", "offline"), ("prompt", "consent")),
        )
    if settings.microsoft_client_id:
        found["microsoft"] = Endpoints(
            "microsoft",
            settings.microsoft_authorize_url,
            settings.microsoft_token_url,
            "offline_access https://outlook.office.com/SMTP.Send "
            "https://outlook.office.com/IMAP.AccessAsUser.All",
            settings.microsoft_client_id,
            settings.microsoft_client_secret.get_secret_value(),
        )
    return found
