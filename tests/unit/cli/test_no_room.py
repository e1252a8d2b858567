"""A disk that is full or read-only ends a command in one line, with the exit code that says so."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from postfleet_cli.start import Commands


def _command(error: OSError) -> Commands:
    app = Commands()

    @app.command()
    def fail() -> None:
        raise error

    return app


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_no_room_is_one_line_with_the_remedy(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        _command(OSError(number, "whatever", "/data/keys"))([])
    assert ended.value.code == 73
    said = capsys.readouterr().err
    assert said.startswith("postfleet: /data/keys: ")
    assert "Make room" in said
    assert said.count("\n") == 1


def test_another_failure_is_no_matter_of_room() -> None:
    with pytest.raises(OSError, match="broken"):
        _command(OSError(errno.EIO, "broken"))([])


def test_up_on_a_full_disk_starts_nothing_and_says_why(tmp_path: Path) -> None:
    """/dev/full takes the place of the first file that is written for a server."""
    (tmp_path / "nats.conf").symlink_to("/dev/full")
    command = [str(Path(sys.executable).with_name("postfleet")), "up", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 73, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("postfleet: No space left on device. Make room"), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mongo").exists()
