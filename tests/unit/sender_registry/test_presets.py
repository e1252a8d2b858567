"""What is known about providers, and what domains publish about themselves."""

from datetime import date

import pytest

from postfleet.events.senders import SmtpSecurity
from sender_registry.domain import advice
from sender_registry.domain.discovery import Srv, from_autoconfig, from_preset, from_srv
from sender_registry.domain.presets import PRESETS, VERSION, InboxType, by_domain, by_mx
from sender_registry.domain.security import smtp_security
from sender_registry.forms import NewSender, smtp_server
from sender_registry.guidance import preset_view

ADDRESS = "ann@one.test"


@pytest.mark.seed("S16", "S20", "S205", "S206", "S207", "S217", "S218", "S219", "S229")
@pytest.mark.parametrize(
    ("kind", "smtp", "imap"),
    [
        ("GOOGLE_WORKSPACE", ("smtp.gmail.com", 587, "starttls"), ("imap.gmail.com", 993)),
        ("OUTLOOK_365", ("smtp.office365.com", 587, "starttls"), ("outlook.office365.com", 993)),
        ("ZOHO", ("smtp.zoho.com", 465, "implicit"), ("imap.zoho.com", 993)),
        ("FASTMAIL", ("smtp.fastmail.com", 465, "implicit"), ("imap.fastmail.com", 993)),
        ("ICLOUD", ("smtp.mail.me.com", 587, "starttls"), ("imap.mail.me.com", 993)),
        ("YAHOO", ("smtp.mail.yahoo.com", 465, "implicit"), ("imap.mail.yahoo.com", 993)),
        ("SENDGRID", ("smtp.sendgrid.net", 587, "starttls"), ("", 993)),
        ("POSTMARK", ("smtp.postmarkapp.com", 587, "starttls"), ("", 993)),
        ("MAILGUN", ("smtp.mailgun.org", 587, "starttls"), ("", 993)),
        ("CUSTOM_SMTP", ("", 587, "starttls"), ("", 993)),
    ],
)
def test_every_preset_knows_its_servers(
    kind: str, smtp: tuple[str, int, str], imap: tuple[str, int]
) -> None:
    preset = PRESETS[InboxType(kind)]
    assert (preset.smtp_host, preset.smtp_port) == smtp[:2]
    assert smtp_security("auto", preset.smtp_port, True).value == smtp[2]
    assert (preset.imap_host, preset.imap_port) == imap


def test_every_preset_tells_its_source_and_its_day() -> None:
    assert set(PRESETS) == set(InboxType)
    for kind, preset in PRESETS.items():
        assert preset.checked <= date.fromisoformat(VERSION), kind
        assert preset.source.startswith("https://") or kind is InboxType.CUSTOM_SMTP
        assert preset.hint


@pytest.mark.seed("S18", "S209", "S221", "S222")
def test_the_guides_to_an_app_password_have_five_steps() -> None:
    google, microsoft = PRESETS[InboxType.GOOGLE_WORKSPACE], PRESETS[InboxType.OUTLOOK_365]
    assert [len(google.guide), len(microsoft.guide)] == [5, 5]
    assert "2-Step Verification" in google.guide[2]
    assert "myaccount.google.com" in google.hint
    assert "no app password if SMTP authentication is switched on" in microsoft.note


@pytest.mark.seed("S248", "S249", "S250", "S251", "S252", "S254", "S255")
def test_the_advice_on_passwords_and_limits_is_complete() -> None:
    said = " ".join(advice.APP_PASSWORDS)
    for words in ("never the account's main one", "revoked", "two-step", "safer", "Never share"):
        assert words in said
    for words in ("no longer needed", "of its own", "authentication logs", "access history"):
        assert words in said
    assert len(advice.LOW_LIMITS) == 4


@pytest.mark.seed("S297", "S298", "S299", "S300", "S301")
def test_the_advice_on_senders_is_complete() -> None:
    said = " ".join(advice.SENDERS)
    for words in ("primary domain", "monthly volumes", "IP-based", "Archive", "irreversible"):
        assert words in said


@pytest.mark.seed("S226", "S227", "S228", "S229")
def test_the_ports_are_explained() -> None:
    assert set(advice.RECOMMENDED_PORTS) == {"25", "465", "587", "993"}
    assert "blocked" in advice.RECOMMENDED_PORTS["25"]


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("gmail.com", "GOOGLE_WORKSPACE"),
        ("HOTMAIL.com", "OUTLOOK_365"),
        ("me.com", "ICLOUD"),
        ("notgmail.com", None),
    ],
)
def test_providers_are_known_by_their_domains(domain: str, kind: str | None) -> None:
    assert by_domain(domain) == kind


@pytest.mark.parametrize(
    ("servers", "kind"),
    [
        (["aspmx.l.google.com."], "GOOGLE_WORKSPACE"),
        (["one-test.mail.protection.outlook.com."], "OUTLOOK_365"),
        (["mx.zoho.com."], "ZOHO"),
        (["mail.one.test.", "in1-smtp.messagingengine.com."], "FASTMAIL"),
        (["evilgoogle.com."], None),
        ([], None),
    ],
)
def test_customers_of_providers_are_known_by_their_mail_servers(
    servers: list[str], kind: str | None
) -> None:
    assert by_mx(servers) == kind


def test_sendgrid_logs_in_as_apikey() -> None:
    form = NewSender.model_validate(
        {"email_address": ADDRESS, "smtp_password": "x", "inbox_type": "SENDGRID"}
    )
    server = smtp_server(form, ADDRESS, PRESETS[form.inbox_type], None)
    assert (server.host, server.username) == ("smtp.sendgrid.net", "apikey")
    found = from_preset(InboxType.SENDGRID, ADDRESS, "domain")
    assert found.smtp is not None
    assert (found.smtp.username, found.imap) == ("apikey", None)


@pytest.mark.seed("S221", "C34")
def test_only_outlook_warns_of_the_end_of_passwords() -> None:
    ends = {kind: preset_view(kind)["password_end"] for kind in InboxType}
    assert ends.pop(InboxType.OUTLOOK_365)["on"] == "2026-12-31"
    assert set(ends.values()) == {None}


# -- what domains publish ------------------------------------------------------------------------


def test_the_service_record_with_the_lowest_priority_and_the_highest_weight_is_taken() -> None:
    found = from_srv(
        {
            "_submission": [
                Srv(10, 5, 587, "later.one.test"),
                Srv(0, 1, 587, "light.one.test"),
                Srv(0, 9, 587, "heavy.one.test"),
            ],
            "_imaps": [Srv(0, 0, 993, "imap.one.test")],
        },
        ADDRESS,
    )
    assert found is not None
    assert found.smtp is not None
    assert found.imap is not None
    assert (found.smtp.host, found.smtp.security) == ("heavy.one.test", SmtpSecurity.STARTTLS)
    assert (found.imap.host, found.imap.username) == ("imap.one.test", ADDRESS)


def test_tls_from_the_first_byte_is_preferred() -> None:
    found = from_srv(
        {
            "_submission": [Srv(0, 0, 587, "a.one.test")],
            "_submissions": [Srv(0, 0, 465, "b.one.test")],
        },
        ADDRESS,
    )
    assert found is not None
    assert found.smtp is not None
    assert (found.smtp.host, found.smtp.security) == ("b.one.test", SmtpSecurity.IMPLICIT)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(Srv(0, 0, 0, ""), id="a dot says that it is not offered"),
        pytest.param(Srv(0, 0, 22, "ssh.one.test"), id="no mail port"),
        pytest.param(Srv(0, 0, 587, "127.0.0.1"), id="an address is no name"),
        pytest.param(Srv(0, 0, 587, "localhost"), id="a name of one label"),
    ],
)
def test_records_that_lead_nowhere_are_passed_over(record: Srv) -> None:
    assert from_srv({"_submission": [record]}, ADDRESS) is None


def config(outgoing: str, incoming: str = "") -> bytes:
    return (
        f'<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="one.test">'
        f"{incoming}{outgoing}</emailProvider></clientConfig>"
    ).encode()


def server(kind: str, host: str, port: int, socket: str, user: str = "%EMAILADDRESS%") -> str:
    name = "outgoingServer" if kind == "smtp" else "incomingServer"
    return (
        f'<{name} type="{kind}"><hostname>{host}</hostname><port>{port}</port>'
        f"<socketType>{socket}</socketType><username>{user}</username></{name}>"
    )


def test_the_configuration_of_mozilla_is_understood() -> None:
    document = config(
        server("smtp", "smtp.%EMAILDOMAIN%", 587, "STARTTLS", "%EMAILLOCALPART%"),
        server("pop3", "pop.one.test", 995, "SSL") + server("imap", "imap.one.test", 993, "SSL"),
    )
    found = from_autoconfig(document, ADDRESS, "autoconfig")
    assert found is not None
    assert found.smtp is not None
    assert found.imap is not None
    assert (found.smtp.host, found.smtp.username) == ("smtp.one.test", "ann")
    assert (found.imap.host, found.imap.port) == ("imap.one.test", 993)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>not found</html>", id="a page"),
        pytest.param(b"\xff\xfe<\x00", id="no UTF-8"),
        pytest.param(
            b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>', id="a bomb"
        ),
        pytest.param(config(server("smtp", "smtp.one.test", 25, "plain")), id="without TLS"),
        pytest.param(config(server("smtp", "10.0.0.1", 587, "STARTTLS")), id="an address"),
        pytest.param(config(server("smtp", "a\nb.test", 587, "STARTTLS")), id="a line break"),
        pytest.param(config(server("smtp", "a.test", 99999, "STARTTLS")), id="no port"),
        pytest.param(
            config(server("smtp", "a.test", 587, "SSL", "a\tb")), id="a control character"
        ),
    ],
)
def test_configurations_that_cannot_be_used_are_passed_over(document: bytes) -> None:
    assert from_autoconfig(document, ADDRESS, "autoconfig") is None
