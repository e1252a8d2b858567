"""Which names are ours to give."""

import pytest

from mail_provisioner.domain.names import NameRefused, check_name


@pytest.mark.seed("S138", "S142")
@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        pytest.param("ann", "ann", id="letters"),
        pytest.param("a1.b2", "a1.b2", id="letters, digits and a dot"),
        pytest.param("Ann", "ann", id="capitals become small letters"),
        pytest.param("no", "no", id="`no` takes the mail for no-reply"),
        pytest.param("app", "app", id="`app` alone is not reserved"),
        pytest.param("my.apps", "my.apps", id="only the ending .app is reserved"),
        pytest.param("x" * 64, "x" * 64, id="64 octets are the most that RFC 5321 allows"),
    ],
)
def test_a_name_is_accepted(name: str, becomes: str) -> None:
    assert check_name(name) == becomes


@pytest.mark.seed("S138", "S139", "S140", "S141", "C17")
@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("x" * 65, "LOCAL_PART_TOO_LONG", id="65 octets: RFC 5321"),
        pytest.param("x" * 200, "LOCAL_PART_TOO_LONG", id="200 characters are still RFC 5321's"),
        pytest.param("x" * 201, "NAME_TOO_LONG", id="201 characters"),
        pytest.param("shop.app", "NAME_RESERVED", id="the ending .app"),
        pytest.param("Shop.APP", "NAME_RESERVED", id="the ending .app in capitals"),
        pytest.param("no-reply", "NAME_HAS_SEPARATOR", id="minus"),
        pytest.param("ann+shop", "NAME_HAS_SEPARATOR", id="plus"),
        pytest.param("", "NAME_NOT_ALLOWED", id="nothing"),
        pytest.param(".ann", "NAME_NOT_ALLOWED", id="dot first"),
        pytest.param("ann.", "NAME_NOT_ALLOWED", id="dot last"),
        pytest.param("ann..bob", "NAME_NOT_ALLOWED", id="two dots"),
        pytest.param("ann_bob", "NAME_NOT_ALLOWED", id="underscore"),
        pytest.param("jürgen", "NAME_NOT_ALLOWED", id="a letter outside ASCII"),
        pytest.param("\u0131nfo", "NAME_NOT_ALLOWED", id="a letter that only looks like i"),
        pytest.param("\u212aate", "NAME_NOT_ALLOWED", id="the Kelvin sign, in small letters a k"),
        pytest.param("ann|x", "NAME_NOT_ALLOWED", id="the file's own separator"),
        pytest.param("ann\n", "NAME_NOT_ALLOWED", id="a line end"),
        pytest.param("ann bob", "NAME_NOT_ALLOWED", id="a space"),
    ],
)
def test_a_name_is_refused(name: str, code: str) -> None:
    with pytest.raises(NameRefused) as refused:
        check_name(name)
    assert refused.value.code == code
    assert str(refused.value)
