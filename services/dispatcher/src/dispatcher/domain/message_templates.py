"""Texts of mails of their own, kept under a name and filled with data: what they need is known before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from dispatcher.domain.links import BadLink, rewrite_html
from dispatcher.domain.templates import BadTemplate, Template, template

MAX_SUBJECT = 900


@dataclass(frozen=True, slots=True)
class Texts:
    """The parts of a mail, or of the template of one."""

    subject: str
    text: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """One version of a template; `at` is when it was made, in epoch ms."""

    id: str
    name: str
    texts: Texts
    version: int = 1
    created_at: int = 0
    at: int = 0

    @property
    def label(self) -> str:
        return f"{self.id}:{self.version}"


@dataclass(frozen=True, slots=True)
class Fault:
    field: str
    code: str
    message: str


class BadTexts(ValueError):
    """Everything that is wrong, each with its field."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


class CompiledTexts:
    """Raises BadTexts."""

    def __init__(self, texts: Texts) -> None:
        self._parts: dict[str, Template] = {}
        faults: list[Fault] = []
        for name, source in _named(texts):
            try:
                self._parts[name] = _compiled(name, source)
            except BadTemplate as error:
                faults.append(Fault(name, "template", str(error)))
            except BadLink as error:
                faults.append(Fault(name, "bad_link", str(error)))
        if faults:
            raise BadTexts(faults)

    @property
    def fields(self) -> frozenset[str]:
        """All that the texts name."""
        return frozenset().union(*(part.fields for part in self._parts.values()))

    @property
    def required(self) -> frozenset[str]:
        """Those that they cannot do without, as far as that is known before they are filled."""
        return frozenset().union(*(part.required for part in self._parts.values()))

    def check(self, data: Mapping[str, str]) -> None:
        """Raises BadTexts for a value that is missing, and for one that no text asks for."""
        known = ", ".join(sorted(self.fields)) or "none"
        missing = [
            Fault(f"data.{name}", "missing", "the template cannot do without it")
            for name in sorted(self.required - data.keys())
        ]
        unknown = [
            Fault(
                f"data.{name}", "unknown_field", f"the template has no such field; it has: {known}"
            )
            for name in sorted(data.keys() - self.fields)
        ]
        if missing or unknown:
            raise BadTexts(missing + unknown)

    def fill(self, data: Mapping[str, str]) -> Texts:
        """Raises BadTexts."""
        filled, faults = {"subject": ""}, []
        for name, part in self._parts.items():
            try:
                filled[name] = part.render(data)
            except BadTemplate as error:
                faults.append(Fault(name, "template", str(error)))
        if faults:
            raise BadTexts(faults)
        return Texts(**filled)


def _named(texts: Texts) -> Iterator[tuple[str, str]]:
    for one in fields(texts):
        if source := getattr(texts, one.name):
            yield one.name, source


def _compiled(name: str, source: str) -> Template:
    """What data adds to the destination of a link is written as a part of an address."""
    if name != "html":
        return template(source)
    return template(rewrite_html(source, lambda _: None), html=True)
