"""The words of a mail, whichever part they are in."""

from inbox_watcher.domain.html_text import text_of_html
from inbox_watcher.domain.mime import Part


def body_text(mail: Part) -> str:
    """The text of the first readable part: plain if there is one, else what the HTML shows."""
    html = ""
    for part in mail.walk():
        if part.fields.get("content-disposition").lower().startswith("attachment"):
            continue
        if part.content_type == "text/plain" and not part.parts and part.text().strip():
            return part.text()
        if part.content_type == "text/html" and not html:
            html = part.text()
    return text_of_html(html) if html else ""


def all_text(mail: Part) -> str:
    """The words of a notice: some mail systems spread them over several parts."""
    texts = [
        part.text()
        for part in mail.walk()
        if part.content_type in ("text/plain", "message/delivery-status") and not part.parts
    ]
    return "\n".join(texts[:4]) if any(map(str.strip, texts)) else body_text(mail)
