"""Lines of docker-mailserver's files, edited without touching what others wrote in them."""

from collections.abc import Collection, Iterator, Mapping, Sequence


class BrokenFile(Exception):
    """A line that cannot be understood. The file is left as it is until a person has mended it."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}, line {line}: {reason}; mend the line, then try again")
        self.file, self.line, self.reason = file, line, reason


class Taken(Exception):
    """Another entry, not ours, has this address already; the text says where."""


def significant(text: str) -> Iterator[tuple[int, str]]:
    """(index, line) of every line that is neither blank nor a comment."""
    for index, line in enumerate(text.split("\n")):
        stripped = line.strip(" \t")
        if stripped and not stripped.startswith("#"):
            yield index, line


def without_lines(text: str, indexes: Collection[int]) -> str:
    lines = text.split("\n")
    return "\n".join(line for index, line in enumerate(lines) if index not in indexes)


def with_line(text: str, line: str) -> str:
    """The text with one more line at its end.

    It ends in a newline, because docker-mailserver adds one otherwise and so wakes itself up.
    """
    ended = text if not text or text.endswith("\n") else text + "\n"
    return f"{ended}{line}\n"


def with_lines_before(text: str, added: Mapping[int, Sequence[str]]) -> str:
    """The text with lines added above those with these indexes."""
    lines = []
    for index, line in enumerate(text.split("\n")):
        lines += [*added.get(index, ()), line]
    return "\n".join(lines)
