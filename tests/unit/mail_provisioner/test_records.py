"""The DNS records that a domain should have."""

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key

from mail_provisioner import dkim
from mail_provisioner.domain.records import DmarcPolicy, Record, Wanted, desired


def wanted(
    addresses: tuple[str, ...] = (),
    policy: DmarcPolicy = DmarcPolicy.REJECT,
    pct: int | None = None,
) -> Wanted:
    return Wanted("one.test", "mail.example.com", addresses, "postfleet202611", "KEY", policy, pct)


@pytest.mark.seed("S144", "S145", "S148", "S151", "S152", "S154", "C21")
def test_the_default_records() -> None:
    assert desired(wanted()) == (
        Record("MX", "one.test", "10 mail.example.com", "mx"),
        Record("TXT", "one.test", "v=spf1 a:mail.example.com ~all", "spf"),
        Record("TXT", "postfleet202611._domainkey.one.test", "v=DKIM1; k=rsa; p=KEY", "dkim"),
        Record("TXT", "_dmarc.one.test", "v=DMARC1; p=reject", "dmarc"),
    )


def test_known_addresses_cost_spf_no_lookup() -> None:
    spf = desired(wanted(("192.0.2.1", "2001:db8::1")))[1]
    assert spf.value == "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all"


@pytest.mark.parametrize(
    ("policy", "pct", "value"),
    [
        (DmarcPolicy.NONE, None, "v=DMARC1; p=none"),
        (DmarcPolicy.QUARANTINE, 0, "v=DMARC1; p=quarantine; pct=0"),
        (DmarcPolicy.REJECT, 100, "v=DMARC1; p=reject; pct=100"),
    ],
)
def test_dmarc_says_pct_only_if_asked(policy: DmarcPolicy, pct: int | None, value: str) -> None:
    assert desired(wanted(policy=policy, pct=pct))[3].value == value


def test_a_long_text_is_split_into_strings_of_255_in_a_zone_file() -> None:
    line = Record("TXT", "a.one.test", "x" * 256, "dkim").zone_line
    assert line == 'a.one.test. IN TXT "' + "x" * 255 + '" "x"'
    mx = Record("MX", "one.test", "10 mail.example.com", "mx").zone_line
    assert mx == "one.test. IN MX 10 mail.example.com."


@pytest.mark.seed("S149")
def test_a_dkim_key_is_a_real_pair() -> None:
    key = dkim.generate()
    private = load_pem_private_key(key.private_pem.encode(), None)
    public = load_der_public_key(b64decode(key.public))
    assert isinstance(public, RSAPublicKey)
    assert private.public_key() == public  # type: ignore[union-attr]
    assert public.key_size == 2048
    assert "PRIVATE" not in repr(key)
