"""The sizing table of docs/operations.md says what the last bench measured."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import sizing  # noqa: E402

MEASURED = sizing.measured()
PAGE = sizing.PAGE.read_text()


@pytest.mark.parametrize("name", sizing.ROWS)
def test_a_number_of_the_table_is_the_reports(name: str) -> None:
    what, _ = sizing.ROWS[name]
    found = re.search(rf"(?m)^\| {re.escape(what)} \| ([\d.,]+) (\S+) \|", PAGE)
    assert found, what
    said, measured = float(found[1].replace(",", "")), MEASURED[name]["median"]
    assert said == pytest.approx(measured, rel=0.006), "run: python docs/generate.py --write"
    assert MEASURED[name]["unit"] == found[2]


def test_a_report_without_a_row_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    report.write_text(
        json.dumps([row for row in MEASURED.values() if row["name"] != "tracker: pixels"])
    )
    monkeypatch.setattr(sizing, "REPORT", report)
    with pytest.raises(SystemExit, match=r"tracker: pixels.*make bench"):
        sizing.table()


def test_a_table_written_by_hand_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "operations.md"
    page.write_text(PAGE.replace("| pixels answered |", "| pixels answered, 1 ms |"))
    monkeypatch.setattr(sizing, "PAGE", page)
    assert sizing.page() == PAGE
    page.write_text("no place")
    with pytest.raises(SystemExit, match="no place"):
        sizing.page()


def test_the_generator_checks_it() -> None:
    command = [sys.executable, str(ROOT / "docs/generate.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
