"""The report of chaos: what was played before stays, and more runs are added to it."""

import json
from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.accounting import Result
from tests.chaos.report import Report

GOOD = Result(1000, 0, 0, 0, 7, 0, 0, 2.5)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "_REPORT", tmp_path)
    return tmp_path


def told(folder: Path) -> dict[str, dict[str, object]]:
    return {row["fault"]: row for row in json.loads((folder / "report.json").read_text())}


def test_rows_stand_in_the_order_of_the_scenarios_and_stay_when_others_are_played(
    folder: Path,
) -> None:
    Report(["first", "second"], silent=False).tell(report.row_of("second", [GOOD], ""))
    Report(["first", "second"], silent=False).tell(report.row_of("first", [GOOD, GOOD], ""))
    assert {name: row["runs"] for name, row in told(folder).items()} == {"first": 2, "second": 1}
    assert list(told(folder)) == ["first", "second"]


def test_a_row_begins_anew_or_is_added_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Result(1000, 1, 0, 0, 3, 0, 0, 9.0)
    Report(["kill"], silent=False).tell(report.row_of("kill", [slow], "no 'is ready'"))
    monkeypatch.setenv("ADD", "1")
    more = Report(["kill"], silent=False)
    more.tell(report.row_of("kill", [GOOD], ""))
    more.tell(report.row_of("kill", [GOOD, GOOD], ""))
    row = told(folder)["kill"]
    assert (row["runs"], row["accepted"], row["lost"], row["unknown"]) == (3, 3000, 1, 17)
    assert (row["recover_seconds_max"], row["broken"]) == (9.0, "no 'is ready'")
    assert "no 'is ready'" in (folder / "report.md").read_text()
    monkeypatch.delenv("ADD")
    Report(["kill"], silent=False).tell(report.row_of("kill", [GOOD], ""))
    assert told(folder)["kill"] == report.row_of("kill", [GOOD], "")


def test_the_short_form_writes_nothing(folder: Path) -> None:
    Report(["kill"], silent=True).tell(report.row_of("kill", [GOOD], ""))
    assert not list(folder.iterdir())
