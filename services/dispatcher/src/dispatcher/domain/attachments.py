"""Files that go with a mail: checked when they are given, encoded once (base64, RFC 2045 §6.8)."""

import binascii
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import quote

from postfleet.addresses import check_text

MAX_FILES = 20  # of a step
MAX_TOTAL_BYTES = 7 * 1024 * 1024  # with base64 below the 10 MiB that the strictest servers take
MAX_NAME_OCTETS = 255
_LINE_OCTETS = 57  # 76 characters of base64
_TYPE = re.compile(
    r"(application|audio|font|image|model|text|video)/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}"
)
_CONTENT_ID = re.compile(r"[A-Za-z0-9._+@-]{1,100}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 _.,()+-]+")


class BadAttachment(ValueError):
    """The text names the rule; `field` is the part of the attachment that breaks it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field, self.reason = field, reason


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a mail says of a file; `id` is the SHA-256 of its content, under which it is stored.

    With a `content_id` it is an image inside the HTML part (`<img src="cid:…">`, RFC 2392).
    """

    id: str
    name: str
    content_type: str
    size_bytes: int
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A file with its content."""

    file: Attachment
    content: bytes = field(repr=False)


def attachment(
    name: str, content_type: str, content: bytes, content_id: str = "", *, id_: str = ""
) -> Attachment:
    """`id_` instead of a content that is stored already. Raises BadAttachment."""
    kind = content_type.lower()
    if not _TYPE.fullmatch(kind):
        raise BadAttachment(
            "content_type", "give a type such as application/pdf, without parameters"
        )
    try:
        check_text(name, max_octets=MAX_NAME_OCTETS)
    except ValueError as error:
        raise BadAttachment("filename", str(error)) from error
    if not name.strip() or "/" in name or "\\" in name:
        raise BadAttachment("filename", "give a file name without a path")
    if content_id and not _CONTENT_ID.fullmatch(content_id):
        raise BadAttachment("content_id", "use letters, digits and . _ + @ - (at most 100)")
    if content_id and not kind.startswith("image/"):
        raise BadAttachment("content_id", "only images can stand inside the HTML part")
    return Attachment(id_ or sha256(content).hexdigest(), name, kind, len(content), content_id)


def decoded(base64_text: str) -> bytes:
    """Raises BadAttachment."""
    try:
        return b64decode(base64_text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadAttachment("content", f"not base64: {error}") from error


def check_together(files: Sequence[Attachment]) -> None:
    """What must be true of all files of one mail. Raises BadAttachment."""
    if len(files) > MAX_FILES:
        raise BadAttachment("", f"at most {MAX_FILES} files")
    if sum(file.size_bytes for file in files) > MAX_TOTAL_BYTES:
        raise BadAttachment("", f"together more than {MAX_TOTAL_BYTES} bytes; link to large files")
    ids = [file.content_id for file in files if file.content_id]
    if len(set(ids)) != len(ids):
        raise BadAttachment("content_id", "two images have the same content_id")


def entity(file: Attachment, content: bytes) -> bytes:
    """The MIME entity, header and body, with CRLF line ends."""
    kind = "inline" if file.content_id else "attachment"
    lines = [
        f"Content-Type: {file.content_type}",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {kind}; {_file_name(file.name)}",
    ]
    if file.content_id:
        lines.append(f"Content-ID: <{file.content_id}>")
    encoded = (
        binascii.b2a_base64(content[start : start + _LINE_OCTETS], newline=False)
        for start in range(0, len(content), _LINE_OCTETS)
    )
    return "\r\n".join([*lines, "", ""]).encode() + b"\r\n".join(encoded) + b"\r\n"


def _file_name(name: str) -> str:
    """RFC 2183 §2.3; with RFC 2231 §4 for what is not plain ASCII."""
    if _PLAIN_NAME.fullmatch(name):
        return f'filename="{name}"'
    return f"filename*=utf-8''{quote(name, safe='')}"
