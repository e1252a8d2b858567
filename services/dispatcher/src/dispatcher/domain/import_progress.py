"""How far an import has come, and what it says about the rows that it could not use."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dispatcher.domain.lead_rows import BadRow

MAX_REPORTED_ROWS = 1000
SILENT_MS = 30_000  # a running import says every second how far it is


class ImportState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # the file cannot be read on; what was read before is imported
    INTERRUPTED = "interrupted"  # the upload or the service ended in the middle: repeat it


def seen_state(state: ImportState, changed_at: int, now: int) -> ImportState:
    """A running import that has been silent has lost its process."""
    silent = state is ImportState.RUNNING and now - changed_at > SILENT_MS
    return ImportState.INTERRUPTED if silent else state


@dataclass(slots=True)
class Tally:
    """Counts as it goes. `rows` = imported + duplicates + invalid + those that are being written."""

    rows: int = 0
    imported: int = 0
    duplicates: int = 0
    invalid: int = 0
    reported: list[dict[str, Any]] = field(default_factory=list)

    def read(self, row: object) -> None:
        """Count a row; the first bad ones are kept to be shown."""
        self.rows += 1
        if isinstance(row, BadRow):
            self.invalid += 1
            if len(self.reported) < MAX_REPORTED_ROWS:
                self.reported.append({"row": row.row, "field": row.field, "reason": row.reason})

    def written(self, rows: int, new: int) -> None:
        self.imported += new
        self.duplicates += rows - new

    def shown(self) -> dict[str, Any]:
        return {
            "rows_read": self.rows,
            "imported": self.imported,
            "duplicates": self.duplicates,
            "invalid": self.invalid,
            "rows": self.reported,
            "rows_truncated": self.invalid > len(self.reported),
        }
