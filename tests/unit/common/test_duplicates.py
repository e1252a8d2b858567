"""A bulk of inserts that met known keys: only that is passed over."""

from typing import Any

import pytest
from pymongo.errors import BulkWriteError

from postfleet.mongo import duplicates

KNOWN = {"index": 1, "code": 11000}
OTHER = {"index": 2, "code": 50}


def test_the_places_of_known_keys_are_told() -> None:
    error = BulkWriteError({"writeErrors": [KNOWN, {**KNOWN, "index": 4}]})
    assert duplicates(error) == [1, 4]


@pytest.mark.parametrize(
    "details",
    [
        pytest.param({"writeErrors": [KNOWN, OTHER]}, id="another error beside it"),
        pytest.param({"writeErrors": [], "writeConcernErrors": [{"code": 64}]}, id="not durable"),
        pytest.param({"writeErrors": [KNOWN], "writeConcernErrors": [{"code": 64}]}, id="both"),
        pytest.param({}, id="no reason given"),
    ],
)
def test_anything_else_is_raised(details: dict[str, Any]) -> None:
    with pytest.raises(BulkWriteError):
        duplicates(BulkWriteError(details))
