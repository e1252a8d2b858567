"""Tokens in public addresses: nobody can make one, change one, or use one for something else."""

import hmac
from base64 import b32decode, b32encode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenContent, TokenKeys, _Mac

DELIVERY = "5f0c2e9d7a41b3c86e1f2a3b4c5d6e7f"
LINK = "a1b2c3d4e5f60718"
LEAD = "a1b2c3d4e5f60718293a4b5c"
ASKED = LEAD + "65432100"
SECOND = {Purpose.CLICK: LINK, Purpose.CONFIRM: ASKED, Purpose.WARMUP: "01"}


def _key(number: int) -> str:
    return b64encode(sha256(b"test key %d" % number).digest()).decode()


def _keys(*numbers: int) -> TokenKeys:
    return TokenKeys(KeyRing.parse(",".join(map(_key, numbers))))


KEYS = _keys(1)
TOKENS = {
    Purpose.OPEN: KEYS.make(Purpose.OPEN, DELIVERY),
    Purpose.CLICK: KEYS.make(Purpose.CLICK, DELIVERY, LINK),
    Purpose.UNSUBSCRIBE: KEYS.make(Purpose.UNSUBSCRIBE, DELIVERY),
    Purpose.CONFIRM: KEYS.make(Purpose.CONFIRM, DELIVERY, ASKED),
    Purpose.REPLY: KEYS.make(Purpose.REPLY, DELIVERY),
    Purpose.DELIVERY: KEYS.make(Purpose.DELIVERY, DELIVERY),
    Purpose.WARMUP: KEYS.make(Purpose.WARMUP, DELIVERY, "01"),
}


@pytest.mark.parametrize("purpose", Purpose)
def test_a_token_holds_what_it_was_made_for(purpose: Purpose) -> None:
    link = SECOND.get(purpose, "")
    assert KEYS.read(purpose, TOKENS[purpose]) == TokenContent(DELIVERY, link)


@pytest.mark.parametrize("made_for", Purpose)
@pytest.mark.parametrize("used_for", Purpose)
def test_a_token_serves_its_own_purpose_only(made_for: Purpose, used_for: Purpose) -> None:
    read = KEYS.read(used_for, TOKENS[made_for])
    assert (read is not None) == (made_for is used_for)


@pytest.mark.parametrize("purpose", Purpose)
def test_no_flipped_bit_goes_unnoticed(purpose: Purpose) -> None:
    raw = _octets(purpose)
    for place in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[place // 8] ^= 1 << place % 8
        token = _spelled(purpose, bytes(damaged))
        assert KEYS.read(purpose, token) is None, f"bit {place}"


def _octets(purpose: Purpose) -> bytes:
    token = TOKENS[purpose]
    if purpose is Purpose.REPLY:
        return b32decode(token.upper() + "=" * (-len(token) % 8))
    return urlsafe_b64decode(token + "=" * (-len(token) % 4))


def _spelled(purpose: Purpose, raw: bytes) -> str:
    encode = b32encode if purpose is Purpose.REPLY else urlsafe_b64encode
    return encode(raw).rstrip(b"=").decode()


def test_a_token_to_reply_to_may_change_its_case_and_fits_into_a_local_part() -> None:
    token = TOKENS[Purpose.REPLY]
    assert token.islower()
    assert KEYS.read(Purpose.REPLY, token.upper()) == TokenContent(DELIVERY)
    assert len(token) <= 64 - len("a-longer-local-part+")


@pytest.mark.parametrize("purpose", Purpose)
def test_a_truncated_or_extended_token_is_none(purpose: Purpose) -> None:
    token = TOKENS[purpose]
    assert all(KEYS.read(purpose, token[:length]) is None for length in range(len(token)))
    assert KEYS.read(purpose, token + "A") is None
    assert KEYS.read(purpose, token + token) is None


@pytest.mark.seed("C26")
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(TOKENS[Purpose.OPEN][:-1] + "A", id="forged"),
        pytest.param(TOKENS[Purpose.OPEN][:20], id="truncated"),
        pytest.param("", id="nothing"),
        pytest.param("é", id="not of its alphabet"),
        pytest.param(TOKENS[Purpose.UNSUBSCRIBE], id="for another purpose"),
        pytest.param(TOKENS[Purpose.CLICK], id="of another length"),
        pytest.param(_keys(2).make(Purpose.OPEN, DELIVERY), id="of a key that has expired"),
    ],
)
def test_whatever_is_wrong_with_a_token_it_costs_one_mac(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, of = [], _Mac.of
    monkeypatch.setattr(
        _Mac, "of", lambda mac, payload: (made.append(payload), of(mac, payload))[1]
    )
    assert KEYS.read(Purpose.OPEN, wrong) is None
    assert len(made) == 1


def test_a_token_has_one_spelling() -> None:
    token = TOKENS[Purpose.OPEN]
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    others = {
        f"{token}=",
        f"{token}==",
        f" {token}",
        f"{token}\n",
        token[:5] + "!" + token[5:],
        *(token[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    } - {token}
    same = [t for t in others if urlsafe_b64decode(t + "=" * (-len(t) % 4)) == raw]
    assert same, "base64 itself would take some of them for the token"
    assert all(KEYS.read(Purpose.OPEN, other) is None for other in others)


@given(st.text(max_size=80))
def test_no_text_is_taken_for_a_token(text: str) -> None:
    assert all(KEYS.read(purpose, text) is None for purpose in Purpose)


@pytest.mark.parametrize("purpose", Purpose)
def test_tokens_of_an_older_key_are_read_while_it_is_in_the_ring(purpose: Purpose) -> None:
    rotated = _keys(2, 1)
    assert rotated.read(purpose, TOKENS[purpose]) == KEYS.read(purpose, TOKENS[purpose])
    assert _keys(2).read(purpose, TOKENS[purpose]) is None
    link = SECOND.get(purpose, "")
    assert _keys(2).read(purpose, rotated.make(purpose, DELIVERY, link)) is not None


def test_keys_whose_names_begin_alike_do_not_hide_each_other() -> None:
    first = KeyRing.parse(_key(1)).newest[:2]
    other = next(n for n in count(2) if KeyRing.parse(_key(n)).newest[:2] == first)
    rotated = _keys(other, 1)
    assert rotated.read(Purpose.OPEN, TOKENS[Purpose.OPEN]) == TokenContent(DELIVERY)
    made = rotated.make(Purpose.OPEN, DELIVERY)
    assert _keys(other).read(Purpose.OPEN, made) == TokenContent(DELIVERY)


@pytest.mark.parametrize(
    ("purpose", "delivery", "link"),
    [
        pytest.param(Purpose.OPEN, DELIVERY[:-2], "", id="a delivery id that is too short"),
        pytest.param(Purpose.CLICK, DELIVERY, "", id="a click without its link"),
        pytest.param(Purpose.OPEN, DELIVERY, LINK, id="an open with a link"),
        pytest.param(Purpose.OPEN, "bob@two.test", "", id="an address"),
    ],
)
def test_a_token_that_could_not_be_read_is_not_made(
    purpose: Purpose, delivery: str, link: str
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        KEYS.make(purpose, delivery, link)


def test_a_token_shows_no_address_and_fits_into_a_line() -> None:
    assert all(len(token) < 70 and token.isascii() for token in TOKENS.values())


def test_a_link_id_follows_from_place_and_destination_under_our_key() -> None:
    one = KEYS.link_id("campaign", 1, "A", "https://one.test/")
    assert one == _keys(1).link_id("campaign", 1, "A", "https://one.test/")
    assert len(bytes.fromhex(one)) == 8
    assert one != KEYS.link_id("campaign", 2, "A", "https://one.test/")
    assert one != _keys(2).link_id("campaign", 1, "A", "https://one.test/")


@pytest.mark.parametrize("length", [1, 32, 64, 65, 200])
def test_the_mac_of_a_token_is_an_hmac(length: int) -> None:
    key = bytes(range(length))
    for payload in (b"", b"x" * 17, b"y" * 300):
        assert _Mac(key).of(payload) == hmac.digest(key, payload, "sha256")[:16]


@pytest.mark.parametrize("purpose", [one for one in Purpose if one is not Purpose.REPLY])
def test_tokens_made_in_numbers_are_those_made_one_by_one(purpose: Purpose) -> None:
    link = SECOND.get(purpose, "")
    made = KEYS.maker(purpose)(bytes.fromhex(DELIVERY + link))
    assert made.decode() == TOKENS[purpose]
    with pytest.raises(ValueError, match="holds other ids"):
        KEYS.maker(purpose)(bytes.fromhex(DELIVERY + link + "00"))


def test_a_token_to_reply_to_is_not_made_in_numbers() -> None:
    with pytest.raises(ValueError, match="written otherwise"):
        KEYS.maker(Purpose.REPLY)
