"""What may be changed in the DNS, and what is left alone."""

import pytest

from mail_provisioner.domain.dns_plan import owned_after, step
from mail_provisioner.domain.records import Record

MX = Record("MX", "one.test", "10 mail.one.test", "mx")
SPF = Record("TXT", "one.test", "", "spf")
DKIM = Record("TXT", "s._domainkey.one.test", "v=DKIM1; k=rsa; p=OURKEY", "dkim")
DMARC = Record("TXT", "_dmarc.one.test", "v=DMARC1; p=reject", "dmarc")
TERMS = ("ip4:192.0.2.1",)
ELEVEN = "v=spf1 " + " ".join(f"include:s{i}.test" for i in range(11)) + " -all"


@pytest.mark.seed("S147", "S152")
@pytest.mark.parametrize(
    ("record", "found", "ours", "standing", "action"),
    [
        pytest.param(MX, [], "", "missing", "add", id="no MX"),
        pytest.param(MX, ["5 MAIL.one.test."], "", "published", "none", id="MX, other preference"),
        pytest.param(MX, ["1 aspmx.test"], "", "foreign", "refuse", id="another server's MX"),
        pytest.param(
            MX, ["10 old.test"], "10 old.test", "changed", "replace", id="our MX of before"
        ),
        pytest.param(
            MX, ["10 old.test", "20 x.test"], "10 old.test", "foreign", "refuse", id="MX mixed"
        ),
        pytest.param(DKIM, [], "", "missing", "add", id="no DKIM key"),
        pytest.param(DKIM, ["k=rsa; p=OUR KEY"], "", "published", "none", id="DKIM spelled else"),
        pytest.param(
            DKIM, ["v=DKIM1; p=THEIRS"], "", "foreign", "refuse", id="another key on our selector"
        ),
        pytest.param(
            DMARC, ["v=DMARC1; p=none; rua=mailto:x@y.test"], "", "foreign", "refuse", id="DMARC"
        ),
        pytest.param(
            DMARC, ["v=DMARC1;p=none"], "v=DMARC1; p=none", "changed", "replace", id="our DMARC"
        ),
        pytest.param(
            DMARC, ["some note"], "", "missing", "add", id="a text that is no DMARC record"
        ),
        pytest.param(SPF, ["v=spf1 -all", "v=spf1 mx"], "", "foreign", "refuse", id="two SPF"),
        pytest.param(SPF, [ELEVEN], "", "changed", "refuse", id="11 lookups"),
    ],
)
def test_only_what_is_ours_is_ever_changed(
    record: Record, found: list[str], ours: str, standing: str, action: str
) -> None:
    planned = step(record, found, ours, TERMS)
    assert (planned.standing, planned.action) == (standing, action)
    assert bool(planned.before) == (action == "replace" or found == [ELEVEN])


def test_an_address_that_we_no_longer_send_from_leaves_spf_and_the_operators_stays() -> None:
    published = ["v=spf1 ip4:198.51.100.9 ip4:192.0.2.7 mx -all"]
    planned = step(SPF, published, "ip4:192.0.2.7", TERMS)
    assert planned.record.value == "v=spf1 ip4:198.51.100.9 mx ip4:192.0.2.1 -all"
    assert owned_after(planned, "ip4:192.0.2.7", TERMS) == "ip4:192.0.2.1"


def test_a_term_that_the_operator_had_before_does_not_become_ours() -> None:
    planned = step(SPF, ["v=spf1 ip4:192.0.2.1 -all"], "", TERMS)
    assert planned.action == "none"
    assert owned_after(planned, "", TERMS) == ""
