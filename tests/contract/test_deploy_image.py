"""The one Dockerfile: built from locks, small, without root, and started by name."""

import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if folder.is_dir())
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)


def test_the_dockerfile_passes_hadolint() -> None:
    result = _run(HADOLINT, "--format", "json", "Dockerfile")
    assert json.loads(result.stdout) == [], result.stdout
    assert result.returncode == 0


def test_the_image_is_built_from_locks_and_runs_without_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    installs = re.findall(r"pip install .*", text)
    assert installs
    assert all("--require-hashes" in line for line in installs)
    assert re.search(r"(?m)^USER \d+:\d+$", text), "Kubernetes checks runAsNonRoot by number"
    assert re.search(r'(?m)^ENTRYPOINT \["/app/bin/start"\]$', text)
    assert re.search(r"(?m)^ARG PYTHON=3\.11\.\d+-slim-\w+$", text)
    assert "POSTFLEET_HTTP_HOST=0.0.0.0" in text, "the loopback default answers nobody"
    assert "HEALTHCHECK" in text
    for lock in [*SERVICES, "cli", "build"]:
        assert "--hash=sha256:" in (ROOT / f"requirements/{lock}.txt").read_text()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("dispatcher", ["python -m dispatcher"], id="a service"),
        pytest.param("inbox-watcher", ["python -m inbox_watcher"], id="its module has underscores"),
        pytest.param("gateway", ["set -- gateway", "exec postfleet"], id="the command"),
    ],
)
def test_the_image_starts_what_it_is_named_after(
    name: str, expected: list[str], tmp_path: Path
) -> None:
    """Runs the script of the build stage with a pip that only takes notes."""
    for place in ("target", "builder"):
        scripts = tmp_path / place / "bin"
        scripts.mkdir(parents=True)
        for tool in ("pip", "python"):
            (scripts / tool).write_text(f'#!/bin/sh\necho {tool} "$@" >> {tmp_path}/notes\n')
            (scripts / tool).chmod(0o755)
    result = _run(ROOT / "deploy/docker/install", name, tmp_path / "target", tmp_path / "builder")
    assert result.returncode == 0, result.stderr
    start = tmp_path / "target/bin/start"
    assert os.access(start, os.X_OK)
    assert os.access(tmp_path / "target/bin/healthy", os.X_OK)
    for line in expected:
        assert line in start.read_text()
    notes = (tmp_path / "notes").read_text()
    assert "./libs/common" in notes
    assert ("./libs/cli" if name == "gateway" else f"./services/{name}") in notes
    assert "--no-index" in notes


def test_the_build_sees_no_secret_and_no_test() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*", "first everything is left out, then what is needed comes back"
    copied = re.findall(r"(?m)^COPY ((?:[\w./-]+ )+)", (ROOT / "Dockerfile").read_text())
    for source in {part.rstrip("/") for line in copied for part in line.split()}:
        assert any(f"!{source}".startswith(line) for line in lines if line[:1] == "!"), source
