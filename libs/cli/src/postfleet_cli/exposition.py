"""Several Prometheus text expositions into one: HELP and TYPE once, every sample with its service.

Pure: text goes in, text comes out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_COMMENT = re.compile(r"# (HELP|TYPE) (\S+)(?: (.*))?")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(.*)")


@dataclass(slots=True)
class _Family:
    name: str
    help: str = ""
    type: str = "untyped"
    samples: list[str] = field(default_factory=list)


def merge(expositions: Mapping[str, str]) -> str:
    """One valid exposition from `{service: exposition}`.

    A family whose type differs between services keeps the type of the first that has it; the
    samples of the others are left out, since they cannot be valid beside it.
    """
    merged: dict[str, _Family] = {}
    for service, text in expositions.items():
        for family in _families(text, service):
            known = merged.setdefault(family.name, family)
            if known is not family and known.type == family.type:
                known.samples += family.samples
                known.help = known.help or family.help
    return "".join(line for family in merged.values() for line in _lines(family))


def _families(text: str, service: str) -> Iterator[_Family]:
    """The families of one exposition; comments announce the samples that follow."""
    families: dict[str, _Family] = {}
    current = _Family("")
    for line in text.splitlines():
        if comment := _COMMENT.fullmatch(line):
            kind, name, rest = comment[1], comment[2], comment[3] or ""
            current = families.setdefault(name, _Family(name))
            if kind == "HELP":
                current.help = rest
            else:
                current.type = rest
        elif line.strip() and not line.startswith("#") and (sample := _SAMPLE.fullmatch(line)):
            if not _belongs(sample[1], current):
                current = families.setdefault(sample[1], _Family(sample[1]))
            current.samples.append(_labelled(sample[1], sample[2], service))
    yield from families.values()


def _belongs(name: str, family: _Family) -> bool:
    """Histograms and summaries have samples with suffixes; the others only their own name."""
    suffixes = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
    own = {family.name, *(family.name + s for s in suffixes.get(family.type, ()))}
    return bool(family.name) and name in own


def _labelled(name: str, rest: str, service: str) -> str:
    """The sample with a `service` label; one that it has already stays."""
    labels, value = "", rest
    if rest.startswith("{"):
        end, names = _read_labels(rest)
        labels, value = rest[1:end].strip().rstrip(","), rest[end + 1 :].strip()
        if "service" in names:
            return f"{name}{{{labels}}} {value}"
    own = f'service="{service}"'
    return f"{name}{{{own}{',' if labels else ''}{labels}}} {value}"


def _read_labels(text: str) -> tuple[int, set[str]]:
    """Where the closing brace is, and the labels before it; braces in values are skipped."""
    position, names = 1, set[str]()
    while match := _LABEL.match(text, position):
        names.add(match[1])
        position = match.end()
    return text.index("}", position), names


def _lines(family: _Family) -> Iterator[str]:
    if family.help:
        yield f"# HELP {family.name} {family.help}\n"
    yield f"# TYPE {family.name} {family.type}\n"
    for sample in family.samples:
        yield f"{sample}\n"
