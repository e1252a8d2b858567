"""What a backup holds. Written last: a directory without it is no backup."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from postfleet_cli.exits import ExitCode, Refused

FORMAT = 1
_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`collections`: "<database>/<collection>" -> documents. `heard`: durable -> the last event it had
    acknowledged before the databases were read. `sha256`: file -> what it must be. `live`: the
    platform ran meanwhile."""

    created_at: str
    version: str
    live: bool
    master_key_ids: tuple[str, ...]
    collections: Mapping[str, int] = field(default_factory=dict)
    streams: Mapping[str, int] = field(default_factory=dict)
    heard: Mapping[str, int] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """There whole, or not at all."""
        unfinished = folder / f"{_NAME}.new"
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n")
        unfinished.replace(folder / _NAME)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Raises Refused: no backup, one of newer code, or files that are not what they were."""
        try:
            found: dict[str, Any] = json.loads((folder / _NAME).read_text())
        except FileNotFoundError:
            raise Refused(
                ExitCode.CONFIG,
                f"{folder} has no {_NAME}: it is no backup, or one that did not end",
            ) from None
        except (OSError, ValueError) as error:
            raise Refused(ExitCode.CONFIG, f"{folder / _NAME} cannot be read: {error}") from error
        if found.get("format") != FORMAT:
            raise Refused(
                ExitCode.CONFIG,
                f"{folder} has format {found.get('format')}; this version reads {FORMAT}. "
                "Restore it with the version that made it, then upgrade",
            )
        manifest = cls(**found)
        damaged = [name for name, sha in manifest.sha256.items() if digest(folder / name) != sha]
        if damaged:
            lines = [f"  {name}" for name in damaged[:10]]
            raise Refused(ExitCode.CONFIG, "these files are damaged or missing:", *lines)
        return manifest


def digest(file: Path) -> str:
    """SHA-256; "" for a file that is not there."""
    if not file.is_file():
        return ""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
