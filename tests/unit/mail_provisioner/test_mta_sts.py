"""MTA-STS (RFC 8461): the policy, the record that stands for it, and who is asked about."""

import re

import pytest

from mail_provisioner.domain import mta_sts
from mail_provisioner.domain.mta_sts import MtaSts


def test_the_policy_is_as_the_standard_writes_it() -> None:
    assert mta_sts.policy(MtaSts.ENFORCE, "mail.one.test") == (
        "version: STSv1\r\nmode: enforce\r\nmx: mail.one.test\r\nmax_age: 604800\r\n"
    )


def test_the_record_changes_with_the_policy_and_only_then() -> None:
    value = mta_sts.record_value(MtaSts.ENFORCE, "mail.one.test")
    assert re.fullmatch(r"v=STSv1; id=[a-z0-9]{1,32}", value)
    assert value == mta_sts.record_value(MtaSts.ENFORCE, "mail.one.test")
    others = {
        mta_sts.record_value(MtaSts.TESTING, "mail.one.test"),
        mta_sts.record_value(MtaSts.ENFORCE, "mail.two.test"),
    }
    assert len({value, *others}) == 3


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("mta-sts.one.test", "one.test"),
        ("MTA-STS.One.Test:443", "one.test"),
        ("mta-sts.one.test.", "one.test"),
        ("one.test", ""),
        ("", ""),
    ],
)
def test_the_host_names_the_domain(host: str, domain: str) -> None:
    assert mta_sts.domain_of(host) == domain


@pytest.mark.parametrize(
    ("served", "same"),
    [
        ("mode:  Enforce\nversion: STSv1\nmx: mail.one.test\nmax_age: 604800", True),
        ("version: STSv1\r\nmode: enforce\r\nmx: mx.other.test\r\nmax_age: 604800\r\n", False),
        ("<html>not found</html>", False),
    ],
)
def test_policies_are_compared_by_what_they_mean(served: str, same: bool) -> None:
    ours = mta_sts.policy(MtaSts.ENFORCE, "mail.one.test")
    assert (mta_sts.meaning(served) == mta_sts.meaning(ours)) is same
