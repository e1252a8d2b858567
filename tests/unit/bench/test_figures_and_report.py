"""What a bench says: ratios of the same round, goals judged, peers that are missing named, never zero."""

import json
from pathlib import Path

import pytest

from tests.bench import long_forms, report
from tests.bench.clients import ClientFailed, Run
from tests.bench.figures import Figure, broken, figure, skipped
from tests.bench.rounds import Contest


def test_a_ratio_is_formed_inside_each_round_not_of_the_medians() -> None:
    found = figure("f", [10, 20, 90], "mails/s", peer=[5, 20, 30], against="peer")
    assert (found.median, found.ratio, found.spread) == (20, 2.0, "10-90")


@pytest.mark.parametrize(
    ("goal", "median", "ratio", "reached"),
    [
        (">= 1.8 x", 5.0, 1.8, True),
        (">= 1.8 x", 5.0, 1.79, False),
        ("<= 12 MiB", 12.0, 3.0, True),
        ("<= 12 MiB", 12.1, 0.1, False),
        ("< 400 MiB, <= 1.2 x", 399.0, 1.2, True),
        ("< 400 MiB, <= 1.2 x", 399.0, 1.3, False),
        ("< 400 MiB, <= 1.2 x", 400.0, 1.2, False),
        ("> 1", 1.0, None, False),
        ("", 1.0, 1.0, None),
    ],
)
def test_a_goal_is_judged_by_the_ratio_or_by_the_figure(
    goal: str, median: float, ratio: float | None, reached: bool | None
) -> None:
    assert Figure("f", median, "MiB", "", ratio, "peer", goal).reached is reached


@pytest.mark.parametrize(
    ("goal", "ratio"),
    [
        pytest.param(">= 0.4", 0.26, id="of the peer or of the figure: 23,000 a second is no 0.4"),
        pytest.param(">= 2 x", None, id="a ratio without a peer"),
        pytest.param("<= 30 us", 0.1, id="another unit than the figure's"),
        pytest.param("below 50", None, id="words"),
        pytest.param("< 120 for 1,000,000", None, id="a limit of something else"),
        pytest.param("< 400, flat", None, id="half of it words"),
    ],
)
def test_a_goal_that_nobody_could_miss_is_refused(goal: str, ratio: float | None) -> None:
    with pytest.raises(ValueError, match="f: "):
        Figure("f", 23_000, "MiB", "", ratio, "peer", goal)


def test_clients_take_turns_and_one_that_fails_is_named_with_the_rest_measured() -> None:
    turns: list[str] = []

    def client(name: str, fails: bool = False) -> Run:
        turns.append(name)
        if fails and turns.count(name) == 2:
            raise ClientFailed("it broke")
        return Run(mails=100, seconds=0.5, cpu_seconds=0.01)

    contest = Contest(
        "title",
        "yardstick",
        {
            "yardstick": lambda: client("yardstick"),
            "ours": lambda: client("ours"),
            "weak": lambda: client("weak", fails=True),
        },
        {"absent": "not installed"},
    )
    runs = contest.run(3)
    assert turns == ["yardstick", "ours", "weak"] * 2 + ["yardstick", "ours"]
    found = {one.name: one for one in contest.figures(runs, {"ours": ">= 1.0 x"})}
    assert found["title: ours"].median == 200
    assert found["title: ours"].reached is True
    assert found["title: ours, client CPU"].median == 100
    assert found["title: absent"].spread == "not installed"
    assert found["title: weak"].missing


def test_without_its_yardstick_a_contest_is_no_figure() -> None:
    def fail() -> Run:
        raise ClientFailed("no sink")

    with pytest.raises(RuntimeError, match="no sink"):
        Contest("title", "yardstick", {"yardstick": fail}).run(3)


def test_the_report_has_the_contract_the_missing_peers_and_the_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "PLACE", tmp_path)
    figures = [
        figure("2 KB: smtp-source -d", [100, 110, 120], "mails/s"),
        figure("2 KB: ours", [200, 220, 240], "mails/s", peer=[100, 110, 120], against="x"),
        skipped("2 KB: Nodemailer", "Node.js 20 is not there"),
        broken("registry", ValueError("no such thing")),
    ]
    report.write(figures, {"wire": 61.0, "registry": 20.4}, quick=True)
    rows = json.loads((tmp_path / "report.json").read_text())
    assert [row["name"] for row in rows] == ["2 KB: smtp-source -d", "2 KB: ours"]
    assert {"name", "median", "unit", "ratio", "against", "spread"} <= set(rows[0])
    text = (tmp_path / "report.md").read_text()
    assert "- 2 KB: Nodemailer: Node.js 20 is not there" in text
    assert "- registry: ValueError: no such thing" in text
    assert "![Mails a second" in text
    assert "make bench` in 1 minutes" in text
    assert "| registry | 20 |" in text
    assert (tmp_path / "wire-rate.svg").read_text().startswith("<?xml")
    assert (tmp_path / "wire-rate.png").read_bytes().startswith(b"\x89PNG")


def test_a_long_form_replaces_its_own_figures_and_leaves_those_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "PLACE", tmp_path)
    long_forms.keep("leads", [figure("leads: import", [100.0], "s", goal="< 120")], 130.0)
    long_forms.keep("dashboard", [figure("dashboard: GET /", [10.0], "ms")], 200.0)
    long_forms.keep("leads", [figure("leads: import", [90.0], "s", goal="< 120")], 120.0)
    kept = json.loads((tmp_path / "long.json").read_text())
    assert list(kept) == ["dashboard", "leads"]
    text = (tmp_path / "long.md").read_text()
    assert "| leads: import | 90 | s | 90-90 |  |  | < 120 ✓ |" in text
    assert "GET / | 10 | ms" in text
    assert text == long_forms.page(kept)
