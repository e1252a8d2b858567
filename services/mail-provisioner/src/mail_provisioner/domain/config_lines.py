"""Lines of docker-mailserver's files, edited without touching what others wrote in them."""

from collections.abc import Collection, Iterator


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


def with_line(text: str, line: str, before: int | None = None) -> str:
    """The text with one more line: above index `before`, else at the end.

    It ends in a newline, because docker-mailserver adds one otherwise and so wakes itself up.
    """
    if before is not None:
        lines = text.split("\n")
        return "\n".join([*lines[:before], line, *lines[before:]])
    ended = text if not text or text.endswith("\n") else text + "\n"
    return f"{ended}{line}\n"
