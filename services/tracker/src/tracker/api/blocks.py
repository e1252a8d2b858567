"""What a page of the dashboard is made of. Templates escape all of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracker.domain.spreadsheet import to_csv


@dataclass(frozen=True, slots=True)
class Button:
    """A form with one button. `sure` is asked first: the button is behind it, out of a slip's way."""

    text: str
    to: str
    fields: tuple[tuple[str, str], ...] = ()
    sure: str = ""
    main: bool = False  # what most people came for

    kind = "button"


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    to: str
    note: str = ""

    kind = "link"


@dataclass(frozen=True, slots=True)
class State:
    name: str

    kind = "state"


@dataclass(frozen=True, slots=True)
class Meter:
    """A part of a whole, as a bar with its text."""

    value: float
    whole: float
    text: str

    kind = "meter"


@dataclass(frozen=True, slots=True)
class Noted:
    """A text, and below it in small letters what else there is to say, a line each."""

    text: str
    note: str

    kind = "noted"


Cell = str | Button | Link | State | Meter | Noted


@dataclass(frozen=True, slots=True)
class Table:
    """`numbers` are the columns that are read from the right, by their places."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]] = ()
    empty: str = "Nothing yet."
    note: str = ""
    numbers: frozenset[int] = frozenset()
    id: str = ""

    kind = "table"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are."""

    title: str
    items: Sequence[tuple[str, Cell]]
    note: str = ""

    kind = "facts"


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it is, and HTML that is shown in a frame which runs, loads and styles nothing."""

    title: str
    text: str
    html: bool = False

    kind = "text"


@dataclass(frozen=True, slots=True)
class Field:
    """`kind` is an input's type, `area`, or `select` with its options (value, label)."""

    name: str
    label: str
    kind: str = "text"
    value: str = ""
    hint: str = ""
    wrong: str = ""
    required: bool = False
    accept: str = ""
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """`method` get: its fields are a search, and are in the address."""

    title: str
    to: str
    fields: Sequence[Field]
    button: str
    method: str = "post"
    note: str = ""

    kind = "form"

    @property
    def uploads(self) -> bool:
        return any(one.kind == "file" for one in self.fields)


Block = Table | Facts | Text | Form


@dataclass(frozen=True, slots=True)
class Page:
    """`under` is the page of the menu that this one belongs to."""

    title: str
    intro: str
    blocks: Sequence[Block] = ()
    problem: str = ""
    told: str = ""
    buttons: Sequence[Button | Link] = ()
    under: Link | None = None
    following: str = ""  # address of the next part of a long list
    csv: bool = field(default=True)

    @property
    def table(self) -> Table | None:
        """What a download holds."""
        tables = [block for block in self.blocks if isinstance(block, Table)]
        return tables[0] if tables and self.csv and tables[0].rows else None


def as_csv(table: Table) -> str:
    """The table for a spreadsheet: no cell of it is a formula; what is pressed is left out."""
    kept = [n for n, name in enumerate(table.columns) if name]
    names = [table.columns[n] for n in kept]
    rows = (
        {name: cell_text(row[n]) for name, n in zip(names, kept, strict=True)} for row in table.rows
    )
    return to_csv(names, rows)


def cell_text(cell: Any) -> str:
    match cell:
        case State(name):
            return name
        case Noted(text, note):
            return f"{text} ({note.replace(chr(10), '; ')})" if note else text
        case Link(text) | Meter(text=text):
            return text
        case Button():
            return ""
    return str(cell)
