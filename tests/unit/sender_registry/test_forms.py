"""What callers may say of a new sender."""

import logging
from typing import Any

import pytest
from pydantic import ValidationError

from postfleet.events.senders import SmtpSecurity
from postfleet.problems import Problem
from sender_registry.domain.presets import PRESETS
from sender_registry.forms import (
    NewSender,
    SenderFields,
    imap_server,
    new_profile,
    patched_profile,
    smtp_server,
)
from sender_registry.validating import LogIn
from tests.unit.sender_registry.samples import NOW, NOW_MS, sender

# The three example requests of the provider guide, as they are printed there but for the address,
# which its page shows as "[email protected]".
_COMMON = {
    "smtp_username": "ann@one.test",
    "smtp_use_tls": True,
    "imap_port": 993,
    "imap_username": "ann@one.test",
    "imap_use_ssl": True,
    "smtp_port": 587,
    "email_address": "ann@one.test",
}
EXAMPLES: list[dict[str, Any]] = [
    {
        **_COMMON,
        "display_name": "John Smith from Company",
        "inbox_type": "GOOGLE_WORKSPACE",
        "daily_limit": 50,
        "smtp_host": "smtp.gmail.com",
        "smtp_password": "your-app-password",
        "imap_host": "imap.gmail.com",
        "imap_password": "your-app-password",
    },
    {
        **_COMMON,
        "display_name": "Sales Team at Company",
        "inbox_type": "OUTLOOK_365",
        "daily_limit": 75,
        "smtp_host": "smtp.office365.com",
        "smtp_password": "your-app-password",
        "imap_host": "outlook.office365.com",
        "imap_password": "your-app-password",
    },
    {
        **_COMMON,
        "display_name": "Outreach Team",
        "inbox_type": "CUSTOM_SMTP",
        "daily_limit": 100,
        "smtp_host": "mail.mydomain.com",
        "smtp_password": "your-password",
        "imap_host": "mail.mydomain.com",
        "imap_password": "your-password",
    },
]
LEAST = {"email_address": "ann@one.test", "smtp_password": "pw"}


@pytest.mark.seed("S11", "S13", "S14", "S15", "S211", "S213", "S214", "S215", "S216", "S223", "C16")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e["inbox_type"])
def test_the_example_requests_of_the_guide_are_understood(example: dict[str, Any]) -> None:
    form = NewSender.model_validate(example)
    profile = new_profile(form, NOW)
    preset = PRESETS[profile.inbox_type]
    smtp = smtp_server(form, form.email_address, preset, None)
    imap = imap_server(form, form.email_address, preset, None)
    assert (smtp.host, smtp.port) == (example["smtp_host"], 587)
    assert smtp.security is SmtpSecurity.STARTTLS
    assert imap is not None
    assert (imap.host, imap.port) == (example["imap_host"], 993)
    assert imap.security is SmtpSecurity.IMPLICIT
    assert profile.daily_limit == example["daily_limit"]
    assert profile.display_name == example["display_name"]


@pytest.mark.seed("S17", "S27", "S206", "S207", "S218", "S219", "S210", "C4")
@pytest.mark.parametrize("inbox_type", ["GOOGLE_WORKSPACE", "OUTLOOK_365"])
def test_presets_fill_what_is_left_out(inbox_type: str) -> None:
    form = NewSender.model_validate({**LEAST, "inbox_type": inbox_type})
    profile = new_profile(form, NOW)
    preset = PRESETS[profile.inbox_type]
    smtp = smtp_server(form, form.email_address, preset, None)
    imap = imap_server(form, form.email_address, preset, None)
    assert (smtp.host, smtp.port, smtp.username) == (preset.smtp_host, 587, "ann@one.test")
    assert imap is not None
    assert (imap.host, imap.port, imap.username) == (preset.imap_host, 993, "ann@one.test")
    assert profile.daily_limit == 50


@pytest.mark.seed("S19", "S224")
def test_custom_servers_must_be_named_and_imap_may_be_left_out() -> None:
    custom = PRESETS[new_profile(NewSender.model_validate(LEAST), NOW).inbox_type]
    with pytest.raises(Problem, match="smtp_host"):
        smtp_server(NewSender.model_validate(LEAST), "ann@one.test", custom, None)
    form = NewSender.model_validate({**LEAST, "smtp_host": "mail.one.test"})
    assert imap_server(form, "ann@one.test", custom, None) is None


def test_imap_of_a_preset_is_left_out_by_an_explicit_null() -> None:
    form = NewSender.model_validate({**LEAST, "inbox_type": "GOOGLE_WORKSPACE", "imap_host": None})
    preset = PRESETS[new_profile(form, NOW).inbox_type]
    assert imap_server(form, "ann@one.test", preset, None) is None


@pytest.mark.seed("S208", "S220", "S225")
@pytest.mark.parametrize(
    ("inbox_type", "maximum"),
    [("GOOGLE_WORKSPACE", 2_000), ("OUTLOOK_365", 10_000), ("CUSTOM_SMTP", 100_000)],
)
def test_a_limit_above_the_providers_maximum_is_refused(inbox_type: str, maximum: int) -> None:
    at_most = {**LEAST, "inbox_type": inbox_type, "daily_limit": maximum}
    assert new_profile(NewSender.model_validate(at_most), NOW).daily_limit == maximum
    above = NewSender.model_validate({**at_most, "daily_limit": maximum + 1})
    with pytest.raises(Problem) as refused:
        new_profile(above, NOW)
    assert (refused.value.status, refused.value.errors[0].field) == (422, "daily_limit")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"color": "red"}, "color"),
        ({"email_address": "no address"}, "email_address"),
        ({"email_address": "ann@one.test\r\nRCPT TO:<x@y.test>"}, "email_address"),
        ({"email_address": {"$ne": None}}, "email_address"),
        ({"display_name": "Ann\r\nBcc: x@y.test"}, "display_name"),
        ({"display_name": "Ann\x00"}, "display_name"),
        ({"daily_limit": "50"}, "daily_limit"),
        ({"daily_limit": 0}, "daily_limit"),
        ({"daily_limit": True}, "daily_limit"),
        ({"monthly_limit": 0}, "monthly_limit"),
        ({"smtp_host": "mail.one.test\r\nQUIT"}, "smtp_host"),
        ({"smtp_host": "-x"}, "smtp_host"),
        ({"smtp_host": ""}, "smtp_host"),
        ({"smtp_port": 0}, "smtp_port"),
        ({"smtp_port": 65536}, "smtp_port"),
        ({"smtp_username": "ann\r\n"}, "smtp_username"),
        ({"smtp_password": ""}, "smtp_password"),
        ({"smtp_password": "a\r\nb"}, "smtp_password"),
        ({"smtp_use_tls": "yes"}, "smtp_use_tls"),
        ({"inbox_type": "HOTMAIL"}, "inbox_type"),
        ({"access_methods": []}, "access_methods"),
        ({"access_methods": ["telnet"]}, "access_methods"),
        ({"bcc": "nobody"}, "bcc"),
        ({"allowed_ips": ["10.0.0.300"]}, "allowed_ips"),
        ({"account_age_days": -1}, "account_age_days"),
    ],
)
def test_bad_values_are_refused_by_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        NewSender.model_validate({**LEAST, **changes})
    assert refused.value.errors()[0]["loc"][0] == field


@pytest.mark.seed("S280")
def test_smtp_authentication_needs_smtp_access() -> None:
    with pytest.raises(Problem, match="smtp_authentication"):
        new_profile(NewSender.model_validate({**LEAST, "smtp_authentication": "ip"}), NOW)
    allowed = {**LEAST, "smtp_authentication": "ip", "access_methods": ["smtp"]}
    with pytest.raises(Problem, match="allowed_ips"):
        new_profile(NewSender.model_validate(allowed), NOW)
    allowed["allowed_ips"] = ["192.0.2.0/24"]
    assert new_profile(NewSender.model_validate(allowed), NOW).smtp_authentication == "ip"


def test_the_age_of_a_mailbox_may_be_told_in_days_or_as_a_time_but_not_both() -> None:
    in_days = NewSender.model_validate({**LEAST, "account_age_days": 1})
    assert new_profile(in_days, NOW).established_ms == NOW_MS - 86_400_000
    since = {**LEAST, "established_at": "2026-11-20T15:00:00Z"}
    assert new_profile(NewSender.model_validate(since), NOW).established_ms == NOW_MS - 86_400_000
    for wrong in (
        {**since, "account_age_days": 1},
        {**LEAST, "established_at": "2027-01-01T00:00:00Z"},
    ):
        with pytest.raises(Problem):
            new_profile(NewSender.model_validate(wrong), NOW)


@pytest.mark.seed("S276", "S277")
def test_a_patch_changes_only_what_it_names() -> None:
    before = sender().profile
    form = SenderFields.model_validate({"monthly_limit": 900, "access_methods": ["smtp"]})
    after = patched_profile(before, form)
    assert (after.monthly_limit, after.access_methods) == (900, ("smtp",))
    assert (after.email_address, after.daily_limit) == (before.email_address, before.daily_limit)


def test_a_patch_of_the_port_chooses_its_security_again() -> None:
    old = sender().smtp
    preset = PRESETS[sender().profile.inbox_type]
    moved = smtp_server(SenderFields.model_validate({"smtp_port": 465}), "", preset, old)
    assert (moved.host, moved.port, moved.security) == (old.host, 465, SmtpSecurity.IMPLICIT)
    renamed = smtp_server(SenderFields.model_validate({"smtp_username": "bob"}), "", preset, old)
    assert (renamed.username, renamed.security) == ("bob", old.security)


@pytest.mark.seed("S25")
def test_passwords_are_in_no_representation(caplog: pytest.LogCaptureFixture) -> None:
    form = NewSender.model_validate({**LEAST, "smtp_password": "canary"})
    with caplog.at_level(logging.DEBUG):
        logging.getLogger(__name__).debug("%r %s", form, LogIn(sender().smtp, "canary"))
    assert "ann@one.test" in caplog.text
    assert "canary" not in caplog.text
