"""`python -m inbox_watcher.explain --json FILE…`: what each mail is, one JSON object a line."""

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from inbox_watcher.domain.matching import address_keys, message_keys
from inbox_watcher.domain.mime import MAX_MAIL_BYTES
from inbox_watcher.domain.understand import understand
from inbox_watcher.domain.understood import Understood


def as_json(file: str, mail: Understood) -> dict[str, Any]:
    return {
        "file": file,
        "kind": mail.kind.value,
        "recipients": [
            {
                "address": recipient.address,
                "status": recipient.status,
                "severity": recipient.severity.value if recipient.severity else None,
                "category": recipient.category,
            }
            for recipient in mail.recipients
        ],
        "original_message_id": mail.original_message_id,
        "reply_text": mail.text if mail.personal else "",
        "auto_reason": mail.auto_reason,
        "returns_on": mail.returns_on,
        "why": mail.why,
    }


def as_lines(file: str, mail: Understood) -> str:
    """For a human reader."""
    facts = [f"{file}: {mail.kind} ({mail.why})"]
    facts += [f"  {r.address} {r.status} {r.severity or ''} {r.category}" for r in mail.recipients]
    facts += [f"  names <{key.id}> ({key.matched_by})" for key in message_keys(mail)]
    facts += [f"  concerns {address}" for address in address_keys(mail)]
    if mail.returns_on:
        facts.append(f"  back on {mail.returns_on}")
    return "\n".join(facts + [f"  | {line}" for line in mail.text.splitlines()])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="inbox_watcher.explain", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a mail as it lies in a maildir")
    options = parser.parse_args(arguments)
    failed = 0
    for file in options.files:
        try:
            with Path(file).open("rb") as stream:
                mail = understand(stream.read(MAX_MAIL_BYTES))
        except OSError as error:
            print(f"{file}: {error.strerror}", file=sys.stderr)  # noqa: T201
            failed = 1
            continue
        shown = orjson.dumps(as_json(file, mail)).decode() if options.json else as_lines(file, mail)
        print(shown)  # noqa: T201
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
