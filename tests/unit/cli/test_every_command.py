"""What holds for every command there is: JSON for programs, an example that it takes, completion."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from postfleet_cli.examples import EXAMPLES
from postfleet_cli.exits import EXIT_CODES_HELP, ExitCode
from postfleet_cli.main import app

_SERVERS = {"up", "gateway"}  # they run until they are stopped
_DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, one in inner.items():
        yield from _leaves(one, (*path, name))


COMMANDS = dict(_leaves(typer.main.get_command(app)))


def test_each_command_has_an_example_and_no_example_is_of_a_command_that_is_gone() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("path", sorted(set(COMMANDS) - _SERVERS))
def test_each_command_that_ends_speaks_json(path: str) -> None:
    options = {name for parameter in COMMANDS[path].params for name in parameter.opts}
    assert "--json" in options


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_the_example_is_taken_by_its_command_and_stands_in_its_help(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(EXAMPLES[path])
    for word in words:
        if "." in word and "@" not in word and "/" not in word:
            (tmp_path / word).touch()  # a file that must exist
    COMMANDS[path].make_context(path, words)
    help_text = CliRunner().invoke(app, [*path.split(), "--help"], terminal_width=200).output
    assert f"postfleet {path}" in help_text.replace("Usage: postfleet", "")


def test_the_documented_exit_codes_are_those_of_the_code() -> None:
    rows = {
        line.split("|")[1].strip() for line in _DOCUMENT.read_text().splitlines() if "|" in line
    }
    assert {str(int(code)) for code in ExitCode} <= rows
    assert all(f" {int(code)} " in f" {EXIT_CODES_HELP} " for code in ExitCode)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        pytest.param("postfleet dead", "dead-letters", id="a group"),
        pytest.param("postfleet senders sus", "suspend-domain", id="a command of a group"),
        pytest.param("postfleet up --de", "--demo", id="an option"),
    ],
)
def test_bash_completes_what_is_typed(typed: str, completed: str) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("postfleet"))],
        env={
            **os.environ,
            "_POSTFLEET_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert completed in done.stdout.split(), done.stderr
