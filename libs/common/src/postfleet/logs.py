"""Logs: one JSON object a line, ids instead of addresses, no bodies, no secrets."""

import logging
import sys
from datetime import UTC, datetime

import orjson

#: Their debug output may hold credentials or whole messages.
_QUIET = (
    "aioimaplib",
    "aiosmtplib",
    "nats",
    "postfleet.faststream",
    "httpx",
    "httpcore",
    "pymongo",
    "asyncio",
)


class _JsonLine(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def configure(service: str, level: str = "INFO") -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLine(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
