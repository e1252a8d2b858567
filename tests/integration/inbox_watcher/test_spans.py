"""Spans of a mailbox that is read: one trace, its commands and results, nothing that names a person."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inbox_watcher.arrivals import Arrivals
from inbox_watcher.copies import Copies
from inbox_watcher.domain.mailbox import Login, Mailbox
from inbox_watcher.evidence import Evidence
from inbox_watcher.pace import Pace
from inbox_watcher.watching import Tools, Watch
from postfleet import tracing
from postfleet.events.senders import SmtpSecurity
from postfleet.otel import Otel
from tests.support.hostileimap import HostileImap
from tests.support.inboxwatcher import Platform


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.use(Otel("inbox-watcher", SimpleSpanProcessor(exporter)))
    yield exporter
    tracing.use(None)


class _Taking(Arrivals):
    async def take(self, *_: Any) -> list[int]:
        return []


async def _credentials(_: str) -> tuple[str, str]:
    return "the-user", "the-password"


async def _lost(*_: object) -> bool:
    return False


async def test_a_folder_that_is_read_is_a_trace_with_its_commands(
    platform: Platform, spans: InMemorySpanExporter
) -> None:
    async with HostileImap() as server:
        server.mails.append(b"From: lead@lead.test\r\nSubject: a secret\r\n\r\nYes.\r\n")
        login = Login("127.0.0.1", server.port, SmtpSecurity.NONE, "the-user", "password")
        none: Any = None
        tools = Tools(
            platform.settings("", allow_plain_imap=True),
            _Taking(*[none] * 7),
            Copies(*[none] * 5),
            Evidence(*[none] * 4),
            _credentials,
            _lost,  # so that the watch ends when it has read
            Pace(60, 7, 180),
        )
        await Watch(Mailbox("s1", "s1@one.test", login, datetime.now(UTC)), tools).run()
    made = spans.get_finished_spans()
    (reading,) = [span for span in made if span.name == "read folder"]
    within = [
        s for s in made if s.parent and s.parent.span_id == cast(Any, reading.context).span_id
    ]
    assert [span.name for span in within] == ["IMAP EXAMINE", "IMAP SEARCH", "IMAP FETCH"]
    assert {(span.attributes or {})["imap.result"] for span in within} == {"OK"}
    assert reading.attributes == {
        "postfleet.sender_id": "s1",
        "postfleet.folder": "inbox",
        "error.type": "LeaseLost",
    }
    assert {span.name for span in made} >= {"IMAP LOGIN", "IMAP LIST"}
    told = " ".join(span.to_json() for span in made)
    assert not any(word in told for word in ("the-user", "the-password", "lead.test", "secret"))
