"""The one TLS context of a process: making one costs 20 ms, so nobody makes one per connection."""

import ssl
from functools import lru_cache
from typing import Any

#: X509_V_ERR_…: what is wrong with a certificate, and who can mend it
_EXPIRED, _SELF_SIGNED, _OTHER_NAME = 10, {18, 19, 20}, {62, 64}


@lru_cache(maxsize=4)
def client_context(extra_ca_file: str | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, host names verified; trusts the system's authorities and `extra_ca_file`."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if extra_ca_file:
        context.load_verify_locations(extra_ca_file)
    return context


@lru_cache(maxsize=4)
def private_context(ca_file: str | None = None) -> ssl.SSLContext:
    """For our own servers: trusts nobody but the authority in `ca_file`; without one, the system's."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def tls_options(url: str, ca_file: str | None) -> dict[str, Any]:
    """How a client of NATS reaches `tls://` addresses: TLS from the first byte.

    The client would otherwise wait for the server to ask for TLS, and tell its password in clear to
    one that does not ask. The server's part is `handshake_first` in its configuration.
    """
    if "tls://" not in url:
        return {}
    return {"tls": private_context(ca_file), "tls_handshake_first": True}


def refusal(error: BaseException | None) -> str:
    """Why a handshake failed, in OpenSSL's words without file names, and the remedy where there is one."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return getattr(error, "reason", None) or type(error).__name__
    said, code = error.verify_message.rstrip("."), error.verify_code
    if code == _EXPIRED:
        return f"{said}: who runs the server must renew it, or this machine's clock is wrong"
    if code in _SELF_SIGNED:
        return f"{said}: if it is yours, name its authority in POSTFLEET_TLS_CA_FILE"
    if code in _OTHER_NAME:
        return f"{said}: use the host name that the certificate is for"
    return said
