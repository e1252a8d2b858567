"""What each check says about what was found."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from mail_provisioner.domain import checks
from mail_provisioner.domain.checks import Check, CheckState, SpfCost
from mail_provisioner.domain.dns_plan import Step, step
from mail_provisioner.domain.hints import HINTS
from mail_provisioner.domain.records import Record

SPF = Record("TXT", "one.test", "v=spf1 ip4:192.0.2.1 ~all", "spf")
DMARC = Record("TXT", "_dmarc.one.test", "v=DMARC1; p=reject", "dmarc")
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def spf_step(*found: str) -> Step:
    return step(SPF, found, "", ("ip4:192.0.2.1",))


@pytest.mark.seed("S144", "S145", "C21")
@pytest.mark.parametrize(
    ("found", "cost", "state", "said"),
    [
        pytest.param([], SpfCost(), "bad", "no such record", id="none"),
        pytest.param(
            ["v=spf1 ip4:192.0.2.1 ~all"], SpfCost(10, 2), "ok", "10 of 10", id="at limit"
        ),
        pytest.param(["v=spf1 ip4:192.0.2.1 ~all"], SpfCost(11), "bad", "11 DNS", id="11 lookups"),
        pytest.param(["v=spf1 ip4:192.0.2.1 ~all"], SpfCost(3, 3), "bad", "3 names", id="3 void"),
        pytest.param(["v=spf1 -all", "v=spf1 mx -all"], SpfCost(), "bad", "2 SPF", id="two"),
        pytest.param(["v=spf1 mx -all"], SpfCost(1), "bad", "not allowed", id="without us"),
        pytest.param(["v=spf1 ip4:192.0.2.1 +all"], SpfCost(), "warn", "everybody", id="+all"),
        pytest.param(
            ["v=spf1 include:x.test -all"], SpfCost(1, 0, ("a circle",)), "bad", "circle", id="loop"
        ),
    ],
)
def test_spf(found: list[str], cost: SpfCost, state: str, said: str) -> None:
    check = checks.sender_policy(spf_step(*found), cost)
    assert (check.state, said in check.text) == (state, True), check.text
    assert bool(check.hints) == (state != "ok")


@pytest.mark.seed("S153")
@pytest.mark.parametrize(
    ("found", "state"),
    [
        pytest.param([], "bad", id="none"),
        pytest.param(["v=DMARC1; p=reject"], "ok", id="ours"),
        pytest.param(["v=DMARC1; p=quarantine; rua=mailto:x@y.test"], "ok", id="the operator's"),
        pytest.param(["v=DMARC1; p=none"], "warn", id="only watching"),
        pytest.param(["v=DMARC1; rua=mailto:x@y.test"], "bad", id="without a policy"),
        pytest.param(["v=DMARC1; p=reject", "v=DMARC1; p=none"], "bad", id="two"),
    ],
)
def test_dmarc(found: list[str], state: str) -> None:
    assert checks.dmarc(step(DMARC, found, "")).state == state


@pytest.mark.seed("S80", "S124", "S125", "S126", "S127", "S128")
@pytest.mark.parametrize(
    ("names", "forward", "state", "said"),
    [
        pytest.param(
            {"192.0.2.1": ["mail.one.test"]}, ["192.0.2.1"], "ok", "agree", id="both ways"
        ),
        pytest.param({"192.0.2.1": []}, ["192.0.2.1"], "bad", "no reverse name", id="no PTR"),
        pytest.param(
            {"192.0.2.1": ["static.host.test"]}, ["192.0.2.1"], "bad", "not the name", id="another"
        ),
        pytest.param(
            {"192.0.2.1": ["MAIL.one.test"]}, ["192.0.2.9"], "bad", "lead back", id="one way"
        ),
        pytest.param(
            {"192.0.2.1": ["mail.one.test"], "2001:db8::1": []},
            ["192.0.2.1"],
            "bad",
            "2001:db8::1",
            id="the second address has none",
        ),
        pytest.param({}, [], "bad", "no address", id="no address"),
    ],
)
def test_reverse_names(
    names: dict[str, list[str]], forward: list[str], state: str, said: str
) -> None:
    check = checks.reverse_names("mail.one.test", names, forward)
    assert (check.state, said in check.text) == (state, True), check.text
    assert any("IP address, not at the DNS provider" in h for h in check.hints) == (state == "bad")


@pytest.mark.seed("S81", "S82", "S85")
@pytest.mark.parametrize(
    ("codes", "state"),
    [
        pytest.param([], "ok", id="not listed"),
        pytest.param(["127.0.0.2", "127.0.0.4"], "bad", id="listed"),
        pytest.param(["127.255.255.254"], "unknown", id="the list refuses public resolvers"),
        pytest.param(["203.0.113.5"], "unknown", id="a resolver that lies"),
        pytest.param(None, "unknown", id="no answer"),
    ],
)
def test_block_lists(codes: Sequence[str] | None, state: str) -> None:
    check = checks.block_lists({("192.0.2.1", "zen.spamhaus.org"): codes})
    assert check.state == state
    removal = "zen.spamhaus.org: https://check.spamhaus.org/"
    assert (removal in check.hints) == (state == "bad")


def test_one_listing_counts_more_than_a_list_that_is_silent() -> None:
    answers = {("192.0.2.1", "a.test"): None, ("192.0.2.1", "b.test"): ["127.0.0.2"]}
    check = checks.block_lists(answers)
    assert (check.state, check.found) == ("bad", ("192.0.2.1 b.test",))


@pytest.mark.seed("S69", "S75", "S76", "S77", "S78", "S105", "S156", "S159")
def test_port_25_is_open_if_one_server_greets_us() -> None:
    assert checks.outbound({"a:25": "220 hello", "b:25": ""}).state == "ok"
    closed = checks.outbound({"a:25": "", "b:25": "554 no"})
    assert closed.state == "bad"
    text = " ".join(closed.hints)
    for provider in ("DigitalOcean", "EC2, Lightsail, Scaleway", "Vultr", "relay"):
        assert provider in text


@pytest.mark.seed("S157", "S158", "S161")
def test_a_mail_server_that_does_not_answer_comes_with_the_commands_to_look_at_it() -> None:
    text = " ".join(checks.certificate("mail.one.test", None, "refused", NOW).hints)
    for command in (
        "ps mailserver",
        "supervisorctl status",
        "restart mailserver",
        "logs mailserver",
    ):
        assert command in text


@pytest.mark.parametrize(("days", "state"), [(14, "ok"), (13, "warn")])
def test_a_certificate_warns_two_weeks_before_its_end(days: int, state: str) -> None:
    ends = NOW + timedelta(days=days)
    assert checks.certificate("mail.one.test", ends, "", NOW).state == state


@pytest.mark.seed("S79")
def test_every_check_has_hints_and_missing_mail_may_be_the_firewall() -> None:
    names = {"outbound_25", "ptr", "dnsbl", "mx", "spf", "dkim", "dmarc", "tls"}
    names |= {"tls_rpt", "mta_sts"}
    assert set(HINTS) == names
    assert any("inbound 25" in hint for hint in HINTS["mx"])


def check(name: str, state: CheckState) -> Check:
    return checks.judged(name, state, f"{name} is {state}")


def test_only_what_was_good_and_is_bad_now_has_degraded() -> None:
    before = {"spf": "ok", "dkim": "warn", "ptr": "bad", "mx": "ok"}
    now = [check(name, CheckState.BAD) for name in ("spf", "dkim", "ptr", "tls")]
    now.append(check("mx", CheckState.UNKNOWN))
    assert checks.degraded(before, now) == {"spf": "spf is bad", "dkim": "dkim is bad"}
    known = checks.remembered(before, now, [])
    assert known["mx"] == "ok"  # nobody answered: what was known stays
    assert known["spf"] == "bad"


def test_a_record_that_was_in_place_and_is_not_has_changed() -> None:
    before = {"record-dmarc": "published"}
    gone, silent = step(DMARC, [], ""), checks.Standing.UNKNOWN
    assert checks.changed_records(before, [gone]) == ("TXT _dmarc.one.test",)
    assert checks.changed_records({}, [gone]) == ()
    assert checks.changed_records(before, [Step(DMARC, silent, gone.action)]) == ()


def test_the_worst_check_names_the_state_of_all() -> None:
    ok, warn, bad = (check("spf", s) for s in (CheckState.OK, CheckState.WARN, CheckState.BAD))
    unknown = check("spf", CheckState.UNKNOWN)
    assert checks.worst([ok, unknown, warn, bad]) == "bad"
    assert checks.worst([ok, unknown]) == "unknown"
    assert checks.worst([ok]) == "ok"
