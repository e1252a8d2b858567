"""The clock of sender requests, and what their forms keep to themselves."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from postfleet.instants import to_ms
from sender_registry.domain.policy import Policy
from sender_registry.domain.relay import may_enter, relay_login
from sender_registry.domain.requests import SenderRequest, State, Step, due
from sender_registry.request_form import NewRequest


@pytest.mark.seed("S296", "C30")
@pytest.mark.parametrize(
    ("created", "until"),
    [
        pytest.param("2026-11-18T15:00", "2026-11-19T15:00", id="Wednesday to Thursday"),
        pytest.param("2026-11-20T15:00", "2026-11-23T15:00", id="Friday to Monday"),
        pytest.param("2026-11-21T15:00", "2026-11-24T00:00", id="Saturday: all of Monday"),
        pytest.param("2026-11-22T23:59", "2026-11-24T00:00", id="Sunday: all of Monday"),
    ],
)
def test_a_request_is_due_one_working_day_later(created: str, until: str) -> None:
    start = datetime.fromisoformat(created).replace(tzinfo=UTC)
    assert due(start) == datetime.fromisoformat(until).replace(tzinfo=UTC)


@pytest.mark.seed("S296")
def test_only_what_is_not_settled_can_be_overdue() -> None:
    at = to_ms(datetime(2026, 11, 20, tzinfo=UTC))
    request = SenderRequest(
        "r", "create", "", "{}", "key k", at, at + 1000, State.AWAITING_APPROVAL
    )
    assert not request.overdue(at + 1000)
    assert request.overdue(at + 1001)
    assert not replace(request, state=State.COMPLETED).overdue(at + 1001)


@pytest.mark.seed("S289", "S290", "S291", "S292", "S293", "S294", "S295")
def test_three_steps_are_validation_and_three_execution() -> None:
    phases = [(step.value, step.phase) for step in Step]
    assert phases == [
        ("completeness", "validation"),
        ("eligibility", "validation"),
        ("compliance", "validation"),
        ("provisioning", "execution"),
        ("configuration", "execution"),
        ("access", "execution"),
    ]


@pytest.mark.seed("S25")
def test_the_passwords_of_a_request_are_in_no_representation_and_yet_in_its_sealed_form() -> None:
    account = {"email_address": "ann@one.test", "smtp_password": "canary"}
    form = NewRequest.model_validate({"operation": "create", "account": account})
    assert "canary" not in repr(form)
    again = NewRequest.model_validate_json(form.plain_json())
    assert again.account is not None
    assert again.account.smtp_password is not None
    assert again.account.smtp_password.get_secret_value() == "canary"
    assert again.account.model_fields_set == {"email_address", "smtp_password"}


@pytest.mark.seed("S285", "S286")
@pytest.mark.parametrize(
    ("address", "login"),
    [
        ("john.smith@acmecorp.com", "john.smith@acmecorp-com.clrstream.com"),
        ("Ann@Mail.Acme.co.uk", "ann@mail-acme-co-uk.clrstream.com"),
    ],
)
def test_log_ins_are_named_after_the_domain_with_hyphens(address: str, login: str) -> None:
    assert relay_login(address, "clrstream.com") == login


@pytest.mark.parametrize(
    ("ip", "allowed"),
    [
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("::ffff:192.0.2.1", True),
        ("2001:db8::1", False),
        ("", False),
        ("192.0.2.1.", False),
    ],
)
def test_clients_are_let_in_by_their_network(ip: str, allowed: bool) -> None:
    assert may_enter(ip, ["192.0.2.0/24"]) is allowed


@pytest.mark.seed("S259", "S297", "C14")
@pytest.mark.parametrize(
    ("domains", "address", "allowed"),
    [
        ([], "ann@anything.test", True),
        (["acmecorp.com"], "ann@ACMEcorp.com", True),
        (["acmecorp.com"], "ann@mail.acmecorp.com", False),
        (["acmecorp.com"], "ann@acmecorp.com.evil.test", False),
    ],
)
def test_only_primary_domains_send_where_there_are_some(
    domains: list[str], address: str, allowed: bool
) -> None:
    assert (Policy(frozenset(domains)).refusal(address) is None) is allowed
