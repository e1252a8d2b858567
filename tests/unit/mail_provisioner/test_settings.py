"""What the environment may say."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mail_provisioner.settings import Settings
from postfleet.secrets import KeyRing


def settings(**given: Any) -> Settings:
    return Settings(
        nats_url="nats://127.0.0.1",
        mongodb_url="mongodb://127.0.0.1",
        master_key=KeyRing.generate(),
        api_key="0123456789abcdef",
        **given,
    )


def test_the_files_are_below_the_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTFLEET_DATA_DIR", "/srv/postfleet")
    assert settings().config_dir == Path("/srv/postfleet/mailserver")
    monkeypatch.delenv("POSTFLEET_DATA_DIR")
    assert settings().config_dir == Path("mailserver")
    monkeypatch.setenv("POSTFLEET_MAIL_PROVISIONER_CONFIG_DIR", "/srv/dms")
    assert settings().config_dir == Path("/srv/dms")


def test_the_server_has_one_name_or_one_below_each_domain() -> None:
    assert settings().mail_host_of("one.test") == "mail.one.test"
    assert settings(hostname="Mail.example.com").mail_host_of("one.test") == "mail.example.com"


def test_addresses_and_resolver_are_taken_apart() -> None:
    given = settings(server_addresses="192.0.2.1, 2001:DB8::1", resolver="[::1]:5353")
    assert given.spf_addresses == ("192.0.2.1", "2001:db8::1")
    assert given.resolver_address == ("::1", 5353)
    assert (settings().spf_addresses, settings().resolver_address) == ((), None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hostname", "localhost"),
        ("hostname", "mail server.example.com"),
        ("server_addresses", "192.0.2.256"),
        ("resolver", "127.0.0.1"),
        ("resolver", "127.0.0.1:0"),
        ("resolver", "dns.example.com:53"),
        ("imaps_port", 0),
        ("login_delay_seconds", -1),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_start(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**{name: value})
    assert refused.value.errors()[0]["loc"] == (name,)


def test_empty_variables_count_as_not_set_and_half_a_name_server_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {
        "NATS_URL": "nats://x", "MONGODB_URL": "mongodb://x", "MASTER_KEY": KeyRing.generate(),
        "POSTFLEET_API_KEY": "k" * 16,
    }  # fmt: skip
    empty = ("DNS_UPDATE_SERVER", "DNS_UPDATE_KEY_NAME", "DNS_UPDATE_KEY", "SERVER_ADDRESSES")
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    for name in empty:
        monkeypatch.setenv(f"POSTFLEET_MAIL_PROVISIONER_{name}", "")
    settings = Settings()
    assert settings.update_server is None
    assert settings.spf_addresses == ()
    monkeypatch.setenv("POSTFLEET_MAIL_PROVISIONER_DNS_UPDATE_SERVER", "192.0.2.53:53")
    with pytest.raises(ValidationError, match="set all three"):
        Settings()
    monkeypatch.setenv("POSTFLEET_MAIL_PROVISIONER_DNS_UPDATE_KEY_NAME", "fleet")
    monkeypatch.setenv("POSTFLEET_MAIL_PROVISIONER_DNS_UPDATE_KEY", "short")
    with pytest.raises(ValidationError, match="base64"):
        Settings()
    monkeypatch.setenv("POSTFLEET_MAIL_PROVISIONER_DNS_UPDATE_KEY", "c2VjcmV0LXNlY3JldC1zZWNyZXQ=")
    server = Settings().update_server
    assert server
    assert (server.host, server.port, server.algorithm) == ("192.0.2.53", 53, "hmac-sha256")
    assert "secret" not in repr(server)
