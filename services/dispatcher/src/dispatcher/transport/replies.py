"""Octets in, whole replies out (RFC 5321 §4.2), in whatever pieces they come."""

import re

_MAX_REPLY_OCTETS = 64 * 1024
_LINE = re.compile(rb"[1-5][0-9]{2}(?:[ -]|\Z)")
#: How the last line of a reply begins, nearly always.
_CODES = {b"%d " % code: code for code in range(100, 600)}

#: Yes to a final dot (its code and text), yes to MAIL and RCPT, 354 to DATA, and nothing else.
whole_round = re.compile(
    rb"(2[0-9]{2}) ([^\n]*)\n2[0-9]{2} [^\n]*\n2[0-9]{2} [^\n]*\n354 [^\n]*\n"
).fullmatch

Reply = tuple[int, bytes]  # the code of the last line, and the text of all lines: see `text_of`


class NoReply(ValueError):
    """What came is no SMTP reply, or one without an end."""


def text_of(octets: bytes) -> str:
    """The text of a reply, its lines joined by a newline."""
    return octets.rstrip(b"\r").decode("utf-8", "replace")


class ReplyReader:
    """Keeps what is not whole yet. `feed` raises NoReply; what it kept is then lost.

    `partial`: the server has begun to say something.
    """

    __slots__ = ("_octets", "_tail", "_text", "partial")

    def __init__(self) -> None:
        self._tail = b""
        self._text: list[bytes] = []  # of the reply that is being read
        self._octets = 0
        self.partial = False

    def feed(self, data: bytes) -> list[Reply]:
        code = _CODES.get(data[:4])
        if code is not None and not self.partial and data.find(b"\n") == len(data) - 1:
            return [(code, data[4:-1])]  # one line, as it is where commands go one by one
        lines = (self._tail + data if self._tail else data).split(b"\n")
        tail = self._tail = lines.pop()
        if len(tail) > _MAX_REPLY_OCTETS:
            raise NoReply("a line without an end")
        replies: list[Reply] = []
        for line in lines:
            code = _CODES.get(line[:4])
            if code is not None and not self._text:
                replies.append((code, line[4:]))
            elif (reply := self._part(line)) is not None:
                replies.append(reply)
        self.partial = bool(tail or self._text)
        return replies

    def _part(self, line: bytes) -> Reply | None:
        """One more line; the reply if it was its last one."""
        if not _LINE.match(line.rstrip(b"\r")):
            raise NoReply(f"no reply: {line[:60]!r}")
        if line[3:4] == b"-":
            self._more(line)
            return None
        return self._whole(line)

    def _more(self, line: bytes) -> None:
        self._text.append(line[4:].rstrip(b"\r"))
        self._octets += len(line) + 1
        if self._octets > _MAX_REPLY_OCTETS:
            raise NoReply("a reply without an end")

    def _whole(self, last: bytes) -> Reply:
        text = b"\n".join([*self._text, last[4:].rstrip(b"\r")])
        self._text, self._octets = [], 0
        return int(last[:3]), text
