"""The golden files of the events: what is on the wire, and must be readable for ever.

    python -m tests.contract.golden            says which events lack a file of their present form
    python -m tests.contract.golden --write    writes those; a file that exists is never changed

`events/v1/<subject>.json` is the first form of a body. When a class gains a field, `--write` puts
its new form in the next version's folder, and both must parse from then on.
"""

import json
import sys
from pathlib import Path

from postfleet.events import EVENTS
from tests.support.eventsamples import announcement

EVENTS_FOLDER = Path(__file__).with_name("events")
HEADERS = EVENTS_FOLDER / "headers.json"


def versions() -> list[Path]:
    """The folders v1, v2, …, oldest first."""
    return sorted(EVENTS_FOLDER.glob("v*"), key=lambda folder: int(folder.name[1:]))


def goldens(subject: str) -> list[Path]:
    """The golden files of one subject, oldest first."""
    return [file for folder in versions() if (file := folder / f"{subject}.json").exists()]


def body(subject: str) -> dict[str, object]:
    """The present form, every field filled."""
    fields: dict[str, object] = json.loads(announcement(EVENTS[subject]).body())
    return fields


def headers() -> dict[str, dict[str, str]]:
    return {s: announcement(cls).headers(cls.source) for s, cls in sorted(EVENTS.items())}


def shape(value: object) -> object:
    """Which fields there are, at every depth; the samples' values do not matter."""
    return {k: shape(v) for k, v in value.items()} if isinstance(value, dict) else None


def missing() -> list[str]:
    """Subjects whose newest golden file lacks a field that the class has."""
    return [s for s in sorted(EVENTS) if not goldens(s) or _newest(s) != shape(body(s))]


def _newest(subject: str) -> object:
    return shape(json.loads(goldens(subject)[-1].read_text()))


def as_text(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    for subject in missing():
        folder = EVENTS_FOLDER / f"v{len(goldens(subject)) + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{subject}.json").write_text(as_text(body(subject)))
        print(f"{folder.name}/{subject}.json written")
    HEADERS.write_text(as_text(headers()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        print("\n".join(missing()) or "every event has a golden file of its present form")
