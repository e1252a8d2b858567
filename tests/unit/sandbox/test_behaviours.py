"""Who behaves how."""

from collections import Counter

import pytest

from postfleet_sandbox.behaviours import (
    NAMED,
    SHARES,
    Act,
    Behaviour,
    Drop,
    as_document,
    asked_for,
    behaviour_from,
    drawn,
)


def test_the_shares_are_a_whole_and_leave_bounces_below_the_pause_limit() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert SHARES.keys() <= NAMED.keys()
    assert SHARES["bounce"] + SHARES["dsn"] < 0.05


def test_the_same_address_always_draws_the_same_behaviour() -> None:
    addresses = [f"person{number}@people.test" for number in range(300)]
    forwards = {address: drawn(7, address) for address in addresses}
    backwards = {address: drawn(7, address.upper()) for address in reversed(addresses)}
    assert forwards == {address: backwards[address] for address in addresses}
    assert forwards != {address: drawn(8, address) for address in addresses}


def test_behaviours_occur_as_often_as_their_shares_say() -> None:
    counts = Counter(drawn(1, f"person{number}@people.test") for number in range(20_000))
    for name, share in SHARES.items():
        assert counts[name] / 20_000 == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("bounce@people.test", "bounce", id="the local part is a name of the table"),
        pytest.param("Bounce+Jo.Doe@People.test", "bounce", id="with a tag, in any case"),
        pytest.param("drop-after+1@people.test", "drop-after", id="a name with a hyphen"),
        pytest.param("bounced@people.test", "", id="a name that only begins like one"),
        pytest.param("bounce@elsewhere.test", "", id="another domain"),
    ],
)
def test_a_local_part_can_ask_for_a_behaviour(address: str, expected: str) -> None:
    assert asked_for(address, "people.test") == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param({}, Behaviour(), id="nothing said: accept"),
        pytest.param({"behaviour": "bounce"}, NAMED["bounce"], id="a row by name"),
        pytest.param(
            {"behaviour": "drop-after", "times": 3},
            Behaviour(drop=Drop.AFTER_ACCEPTING, times=3),
            id="a row with a change",
        ),
        pytest.param({"acts": ["reply"]}, Behaviour(acts=(Act.REPLY,)), id="fields alone"),
    ],
)
def test_scripts_are_read_from_json_and_back(
    document: dict[str, object], expected: Behaviour
) -> None:
    behaviour = behaviour_from(document)
    assert behaviour == expected
    assert behaviour_from(as_document(behaviour)) == behaviour


@pytest.mark.parametrize(
    "document",
    [{"behaviour": "explode"}, {"explode": True}, {"acts": ["explode"]}, {"drop": "explode"}],
)
def test_a_wrong_script_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="explode"):
        behaviour_from(document)
