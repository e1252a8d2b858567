"""Secrets at rest: only the record they were sealed for opens them, under any key in the ring."""

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postfleet.secrets import BadMasterKey, CannotOpen, KeyRing

OLD, NEW = KeyRing.generate(), KeyRing.generate()
RING = KeyRing.parse(OLD)
PLACE = {"service": "sender-registry", "record": "s1", "name": "smtp_password"}
SEALED = RING.seal("pa55 wörd", **PLACE)


@given(st.text())
def test_what_is_sealed_opens_again(secret: str) -> None:
    assert RING.open(RING.seal(secret, **PLACE), **PLACE) == secret


def test_two_seals_of_one_secret_share_nothing() -> None:
    one, two = RING.seal("same", **PLACE).split("."), RING.seal("same", **PLACE).split(".")
    assert one[:2] == two[:2]
    assert set(one[2:]).isdisjoint(two[2:])


@pytest.mark.parametrize(
    "elsewhere",
    [
        pytest.param({"record": "s2"}, id="to another record"),
        pytest.param({"name": "imap_password"}, id="to another field"),
        pytest.param({"service": "dispatcher"}, id="to another service"),
        pytest.param({"service": "sender-registry\x1fs1", "record": ""}, id="to shifted names"),
    ],
)
def test_a_secret_that_was_moved_does_not_open(elsewhere: dict[str, str]) -> None:
    with pytest.raises(CannotOpen, match="does not open"):
        RING.open(SEALED, **{**PLACE, **elsewhere})


@pytest.mark.parametrize(
    "part", [pytest.param(2, id="the data key"), pytest.param(3, id="the body")]
)
def test_no_flipped_bit_goes_unnoticed(part: int) -> None:
    parts = SEALED.split(".")
    raw = urlsafe_b64decode(parts[part])
    for place in range(len(raw)):
        damaged = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        text = urlsafe_b64encode(damaged).decode()
        with pytest.raises(CannotOpen):
            RING.open(".".join([*parts[:part], text, *parts[part + 1 :]]), **PLACE)


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        pytest.param("", "does not open", id="nothing"),
        pytest.param("pa55", "does not open", id="a password in clear"),
        pytest.param("v1.a.b", "does not open", id="a part is missing"),
        pytest.param("v2" + SEALED[2:], "unknown version 'v2'", id="of a later version"),
        pytest.param("v1.00000000." + SEALED[12:], "no master key has the id", id="of another key"),
        pytest.param(SEALED[:-30], "does not open", id="cut off"),
        pytest.param(SEALED.replace(SEALED.split(".")[3], "AAAA"), "does not open", id="too short"),
        pytest.param(SEALED.replace(SEALED.split(".")[3], "é"), "does not open", id="no base64"),
    ],
)
def test_what_is_no_secret_of_ours_does_not_open(sealed: str, reason: str) -> None:
    with pytest.raises(CannotOpen, match=reason) as refusal:
        RING.open(sealed, **PLACE)
    assert "pa55" not in str(refusal.value)
    with pytest.raises(CannotOpen):
        KeyRing.parse(NEW).rewrap(sealed, **PLACE)


def test_rotation_new_key_seals_old_key_still_opens() -> None:
    rotated = KeyRing.parse(f"{NEW},{OLD}")
    assert rotated.open(SEALED, **PLACE) == "pa55 wörd"
    rewrapped = rotated.rewrap(SEALED, **PLACE)
    assert rewrapped.split(".")[1] == KeyRing.parse(NEW).newest
    assert KeyRing.parse(NEW).open(rewrapped, **PLACE) == "pa55 wörd"
    assert rotated.rewrap(rewrapped, **PLACE) == rewrapped
    with pytest.raises(CannotOpen, match="no master key has the id"):
        KeyRing.parse(NEW).open(SEALED, **PLACE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "key 1 has 0 bytes, not 32", id="empty"),
        pytest.param("hunter2!", "key 1 is not base64", id="a password"),
        pytest.param(b64encode(b"x" * 31).decode(), "key 1 has 31 bytes, not 32", id="31 bytes"),
        pytest.param(b64encode(b"x" * 33).decode(), "key 1 has 33 bytes, not 32", id="33 bytes"),
        pytest.param(OLD.rstrip("="), "key 1 is not base64", id="padding is missing"),
        pytest.param("-_" * 22, "key 1 is not base64", id="the URL alphabet"),
        pytest.param(f"{OLD},", "key 2 has 0 bytes, not 32", id="a comma too many"),
        pytest.param(f"{OLD} {NEW}", "key 1 is not base64", id="a space for a comma"),
        pytest.param("ключ", "key 1 is not base64", id="another alphabet"),
    ],
)
def test_a_malformed_master_key_is_refused_without_being_shown(text: str, reason: str) -> None:
    with pytest.raises(BadMasterKey, match=reason) as refusal:
        KeyRing.parse(text)
    assert not text or text not in str(refusal.value)


def test_spaces_around_keys_do_not_matter_and_keys_are_never_shown() -> None:
    ring = KeyRing.parse(f" {NEW} , {OLD}\n")
    assert len(ring.keys) == 2
    assert ring.newest == KeyRing.parse(NEW).newest
    assert "b'" not in repr(ring)
    assert "keys" not in repr(ring)


def test_a_derived_key_is_of_its_purpose() -> None:
    one, other = RING.derive("token open"), RING.derive("token click")
    assert one.keys() == other.keys()
    assert all(len(key) == 32 for key in (*one.values(), *other.values()))
    assert set(one.values()).isdisjoint(other.values())
    assert RING.derive("token open") == one
