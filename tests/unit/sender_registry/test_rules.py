"""Limits, cooldown, status and presets: the tables that an operator would ask for."""

from datetime import UTC, datetime, timedelta

import pytest

from postfleet.events.senders import SenderStatus, SmtpSecurity
from sender_registry.domain.cooldown import Streak, after_error, after_success, after_time
from sender_registry.domain.limits import (
    Allowance,
    Binding,
    LimitRules,
    Volume,
    age_cap,
    allowance,
    next_reset,
)
from sender_registry.domain.presets import PRESETS, InboxType
from sender_registry.domain.security import Asked, smtp_security, warnings
from sender_registry.domain.status import Standing, judge
from sender_registry.domain.validation import Code, first_of

MINUTE_MS = 60_000


@pytest.mark.seed("S245", "S246", "S247")
@pytest.mark.parametrize(
    ("age", "cap"),
    [
        pytest.param(timedelta(0), 30, id="a new account"),
        pytest.param(timedelta(days=14, seconds=-1), 30, id="the last second of two weeks"),
        pytest.param(timedelta(days=14), 80, id="two weeks old"),
        pytest.param(timedelta(days=28, seconds=-1), 80, id="the last second of four weeks"),
        pytest.param(timedelta(days=28), 100, id="four weeks old"),
        pytest.param(timedelta(days=3650), 100, id="ten years old"),
    ],
)
def test_the_age_of_an_account_caps_its_day(age: timedelta, cap: int) -> None:
    assert age_cap(age) == cap


@pytest.mark.seed("S26", "S266", "S208", "C4", "C5")
@pytest.mark.parametrize(
    ("configured", "maximum", "days", "monthly", "today", "month", "ramp", "expected"),
    [
        pytest.param(50, 2000, 400, None, 0, 0, True, (50, "configured"), id="configured"),
        pytest.param(50, 2000, 1, None, 0, 0, True, (30, "age"), id="young"),
        pytest.param(50, 2000, 1, None, 0, 0, False, (50, "configured"), id="young, no ramp"),
        pytest.param(5000, 2000, 400, None, 0, 0, False, (2000, "provider"), id="provider"),
        pytest.param(
            100, 2000, 400, None, 0, 0, True, (100, "configured"), id="equal to the age cap"
        ),
        pytest.param(50, 2000, 400, 1000, 0, 960, True, (40, "monthly"), id="end of the month"),
        pytest.param(50, 2000, 400, 1000, 0, 950, True, (50, "configured"), id="just enough left"),
        pytest.param(
            50, 2000, 400, 1000, 40, 1000, True, (40, "monthly"), id="month used up today"
        ),
        pytest.param(50, 2000, 400, 1000, 0, 1000, True, (0, "monthly"), id="month used up before"),
        pytest.param(50, 2000, 400, 1000, 0, 1005, True, (0, "monthly"), id="never below nothing"),
    ],
)
def test_the_smallest_layer_binds(
    configured: int,
    maximum: int,
    days: int,
    monthly: int | None,
    today: int,
    month: int,
    ramp: bool,
    expected: tuple[int, str],
) -> None:
    volume = Volume(configured, maximum, timedelta(days=days), monthly, today, month)
    assert allowance(volume, LimitRules(ramp)) == Allowance(expected[0], Binding(expected[1]))


@pytest.mark.parametrize(
    ("binding", "now", "expected"),
    [
        (Binding.CONFIGURED, "2026-11-21T15:00:00", "2026-11-22T00:00:00"),
        (Binding.AGE, "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        (Binding.MONTHLY, "2026-11-21T15:00:00", "2026-12-01T00:00:00"),
        (Binding.MONTHLY, "2026-12-31T15:00:00", "2027-01-01T00:00:00"),
        (Binding.MONTHLY, "2027-01-31T15:00:00", "2027-02-01T00:00:00"),
    ],
)
def test_a_limit_is_free_again_at_midnight_or_on_the_first(
    binding: Binding, now: str, expected: str
) -> None:
    reset = next_reset(binding, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert reset == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.seed("S34", "S35")
def test_the_third_error_in_a_row_starts_thirty_minutes() -> None:
    first = after_error(Streak(), 1000, 1000)
    second = after_error(first, 2000, 2000)
    assert (first, second) == (Streak(1), Streak(2))
    assert after_error(second, 3000, 3000) == Streak(0, 3000 + 30 * MINUTE_MS)


@pytest.mark.seed("S35")
def test_a_success_between_them_starts_the_count_again() -> None:
    two = after_error(after_error(Streak(), 1, 1), 2, 2)
    assert after_error(after_success(two), 3, 3) == Streak(1)


def test_errors_of_mails_in_flight_do_not_prolong_a_cooldown() -> None:
    resting = Streak(0, 30 * MINUTE_MS)
    assert after_error(resting, 29 * MINUTE_MS, 29 * MINUTE_MS) == resting


def test_an_error_told_after_its_cooldown_would_be_over_starts_none() -> None:
    assert after_error(Streak(2), 1000, 1000 + 30 * MINUTE_MS) == Streak(0)
    assert after_error(Streak(2), 1000, 999 + 30 * MINUTE_MS).until_ms == 1000 + 30 * MINUTE_MS


@pytest.mark.seed("S41")
@pytest.mark.parametrize(
    ("now_ms", "until_ms"),
    [
        pytest.param(999, 1000, id="a millisecond before its end it holds"),
        pytest.param(1000, 0, id="at its end it is over"),
    ],
)
def test_a_cooldown_ends_by_itself(now_ms: int, until_ms: int) -> None:
    assert after_time(Streak(0, 1000), now_ms).until_ms == until_ms


@pytest.mark.seed("C9")
def test_after_a_cooldown_one_error_starts_the_next_and_a_success_ends_it() -> None:
    probing = after_time(Streak(0, 1000), 1000)
    assert after_error(probing, 2000, 2000) == Streak(0, 2000 + 30 * MINUTE_MS)
    assert after_error(after_success(probing), 2000, 2000) == Streak(1)


@pytest.mark.seed("S33", "S40", "S308", "C11")
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        pytest.param({}, "ready", "", id="nothing is wrong"),
        pytest.param({"warmup_mode": True}, "warmup", "", id="warming up"),
        pytest.param({"health": 20}, "ready", "", id="health 20 is enough"),
        pytest.param({"health": 19}, "restricted", "LOW_HEALTH", id="health 19 is not"),
        pytest.param({"imap_code": "TIMEOUT"}, "restricted", "TIMEOUT", id="IMAP fails"),
        pytest.param({"smtp_code": "AUTH_FAILED"}, "restricted", "AUTH_FAILED", id="SMTP fails"),
        pytest.param(
            {"suspended_by": "ann", "smtp_code": "TIMEOUT"},
            "restricted",
            "SUSPENDED",
            id="a suspension comes first",
        ),
        pytest.param(
            {"warmup_mode": True, "health": 3},
            "restricted",
            "LOW_HEALTH",
            id="restricted comes before warmup",
        ),
    ],
)
def test_the_status_follows_from_the_first_thing_that_is_wrong(
    changes: dict[str, str], status: str, code: str
) -> None:
    well = {
        "smtp_code": "",
        "imap_code": "",
        "suspended_by": "",
        "suspended_reason": "",
        "health": 100,
        "warmup_mode": False,
    }
    judgement = judge(Standing(**{**well, **changes}))  # type: ignore[arg-type]
    assert (judgement.status, judgement.code) == (SenderStatus(status), code)
    assert bool(judgement.reason) == (status == "restricted")


@pytest.mark.seed(
    "S205", "S206", "S207", "S208", "S217", "S218", "S219", "S220", "S223", "S225", "C6"
)
@pytest.mark.parametrize(
    ("inbox_type", "smtp", "imap", "maximum"),
    [
        ("GOOGLE_WORKSPACE", "smtp.gmail.com", "imap.gmail.com", 2_000),
        ("OUTLOOK_365", "smtp.office365.com", "outlook.office365.com", 10_000),
        ("CUSTOM_SMTP", "", "", 100_000),
    ],
)
def test_presets_name_servers_and_maxima(
    inbox_type: str, smtp: str, imap: str, maximum: int
) -> None:
    preset = PRESETS[InboxType(inbox_type)]
    assert (preset.smtp_host, preset.smtp_port) == (smtp, 587)
    assert (preset.imap_host, preset.imap_port) == (imap, 993)
    assert preset.max_daily_limit == maximum


@pytest.mark.seed("S16", "S226", "S227", "C12")
@pytest.mark.parametrize(
    ("asked", "port", "use_tls", "expected"),
    [
        pytest.param("auto", 587, True, "starttls", id="587 is STARTTLS"),
        pytest.param("auto", 465, True, "implicit", id="465 is TLS from the first byte"),
        pytest.param("auto", 25, True, "starttls", id="25 is STARTTLS as well"),
        pytest.param("auto", 587, False, "none", id="no TLS where the caller says so"),
        pytest.param("implicit", 2465, False, "implicit", id="a word beats the boolean"),
        pytest.param("starttls", 465, True, "starttls", id="a word beats the port"),
    ],
)
def test_security_follows_from_word_boolean_and_port(
    asked: Asked, port: int, use_tls: bool, expected: str
) -> None:
    assert smtp_security(asked, port, use_tls) is SmtpSecurity(expected)


@pytest.mark.seed("S228")
def test_port_25_and_clear_passwords_are_warned_of() -> None:
    assert warnings(587, SmtpSecurity.STARTTLS, SmtpSecurity.IMPLICIT) == ()
    assert len(warnings(25, SmtpSecurity.NONE, SmtpSecurity.NONE)) == 3


@pytest.mark.seed("S239", "S240", "S241", "S242", "S243", "S244", "C13")
def test_of_several_failures_the_first_in_precedence_is_told() -> None:
    order = [
        "HOST_NOT_FOUND",
        "TIMEOUT",
        "CONNECTION_REFUSED",
        "SSL_ERROR",
        "AUTH_FAILED",
        "CONNECTION_FAILED",
    ]
    assert [code.value for code in Code] == order
    assert first_of([Code.CONNECTION_FAILED, Code.CONNECTION_REFUSED]) is Code.CONNECTION_REFUSED
