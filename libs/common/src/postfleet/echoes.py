"""What a server may echo of a log-in: taken out of its text before anybody reads, says or logs it.

Servers repeat commands that they do not understand (`500 unrecognized: AUTH PLAIN AGFubgBz…`), some
in capitals, some cut short.
"""

import base64
import re
from collections.abc import Iterator

HIDDEN = "***"
_LEAST = 6  # characters of a secret that are told apart from an ordinary word
_WORD = re.compile(r"[^\s\"'<>()\[\],;:]+")


def without(text: str, username: str, secret: str) -> str:
    """The text with every form in which the secret crosses the wire hidden, also a part of one."""
    forms = list(dict.fromkeys(_forms(username, secret)))
    for form in sorted(forms, key=len, reverse=True):
        text = re.sub(re.escape(form), HIDDEN, text, flags=re.IGNORECASE)
    known = [form.casefold() for form in forms]

    def hidden(word: re.Match[str]) -> str:
        return HIDDEN if _is_part(word[0].casefold(), known) else word[0]

    return _WORD.sub(hidden, text)


def _forms(username: str, secret: str) -> Iterator[str]:
    """As typed, in an IMAP quoted string, and in the SASL mechanisms PLAIN, LOGIN and XOAUTH2."""
    if not secret:
        return
    yield secret
    yield secret.replace("\\", "\\\\").replace('"', '\\"')
    for message in (
        secret,
        f"\0{username}\0{secret}",
        f"{username}\0{username}\0{secret}",
        f"user={username}\1auth=Bearer {secret}\1\1",
    ):
        encoded = base64.b64encode(message.encode()).decode()
        yield encoded
        yield encoded.rstrip("=")


def _is_part(word: str, forms: list[str]) -> bool:
    """Whether the word is a piece of a form: an echo that was cut short or broken over lines."""
    bare = word.strip(".=")
    return len(bare) >= _LEAST and any(bare in form for form in forms)
