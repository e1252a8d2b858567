"""The arithmetic of the summary."""

import pytest

from postfleet_sandbox.ledger import Record
from postfleet_sandbox.summary import Summary

Line = tuple[str, str, str, dict[str, object]]

ACCEPTED = ("accepted", "a@x", "<1>", {"acts": {}})
FAILED = {"mail": 1, "act": "dsn", "action": "failed", "status": "5.1.1"}
DELAYED = {"mail": 1, "act": "dsn", "action": "delayed", "status": "4.4.1"}
FULL_FOR_NOW = {"mail": 1, "act": "dsn", "action": "failed", "status": "4.2.2"}
REFUSED = {"reply": "550 5.1.1 no"}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], {}, id="an empty ledger counts nothing"),
        pytest.param([ACCEPTED], {"accepted": 1, "accepted_recipients": 1}, id="one mail"),
        pytest.param(
            [ACCEPTED, ACCEPTED],
            {"accepted": 2, "accepted_recipients": 1, "duplicates": 1},
            id="the same Message-ID twice is a duplicate",
        ),
        pytest.param(
            [ACCEPTED, ("accepted", "b@x", "<1>", {"acts": {}, "copy": True})],
            {"accepted": 1, "accepted_recipients": 2},
            id="one transaction with two recipients is one mail and no duplicate",
        ),
        pytest.param(
            [("accepted", "a@x", "", {"acts": {}})] * 2,
            {"accepted": 2, "accepted_recipients": 1},
            id="mails without Message-ID are no duplicates",
        ),
        pytest.param(
            [("rejected", "a@x", "", REFUSED)] * 2,
            {"bounced_hard": 1},
            id="a recipient refused twice bounces once",
        ),
        pytest.param(
            [("rejected", "a@x", "", REFUSED), ("dsn", "b@x", "<2>", FAILED)],
            {"bounced_hard": 2},
            id="refusals and failure notifications both bounce",
        ),
        pytest.param(
            [("dsn", "b@x", "<2>", FAILED)] * 2, {"bounced_hard": 1}, id="a repeated notification"
        ),
        pytest.param([("dsn", "b@x", "<2>", DELAYED)], {"bounced_soft": 1}, id="a delay is soft"),
        pytest.param(
            [("dsn", "b@x", "<2>", FULL_FOR_NOW)], {"bounced_soft": 1}, id="so is a 4.y.z failure"
        ),
        pytest.param(
            [("deferred", "a@x", "", {"reply": "450 4.7.1 later"})] * 3,
            {"deferred": 3},
            id="every deferral counts",
        ),
        pytest.param(
            [("human_open", "a@x", "<1>", {"mail": 1, "act": "human_open"})] * 2,
            {"opened": 1},
            id="a mail opened twice is opened once",
        ),
        pytest.param(
            [
                ("click", "a@x", "<1>", {}),
                ("reply", "a@x", "<1>", {}),
                ("auto_reply", "a@x", "<1>", {}),
                ("scanner_open", "a@x", "<1>", {}),
                ("scanner_click", "a@x", "<1>", {}),
            ],
            {
                "clicked": 1,
                "replied": 1,
                "auto_replied": 1,
                "scanner_opens": 1,
                "scanner_clicks": 1,
            },
            id="each kind has its own count",
        ),
        pytest.param(
            [("unsubscribe", "a@x", "<1>", {}), ("unsubscribe", "a@x", "<2>", {})],
            {"unsubscribed": 1},
            id="a person unsubscribes once",
        ),
        pytest.param(
            [
                ("gave_up", "a@x", "<1>", {}),
                ("scripted", "a@x", "", {}),
                ("dropped", "a@x", "", {}),
            ],
            {},
            id="what did not happen is not counted",
        ),
    ],
)
def test_totals(lines: list[Line], expected: dict[str, int]) -> None:
    summary = Summary()
    for seq, (kind, recipient, message_id, detail) in enumerate(lines, start=1):
        summary.read(Record(seq, 0, kind, recipient, "s@x", message_id, detail))
    assert {name: count for name, count in summary.totals().items() if count} == expected
