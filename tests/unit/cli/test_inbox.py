"""`postfleet inbox explain`."""

import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from postfleet_cli import inbox
from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused

_ANSWER = {
    "file": "",
    "kind": "bounce",
    "why": "delivery-status action failed",
    "recipients": [
        {"address": "a@b.test", "status": "5.1.1", "severity": "hard", "category": "unknown_user"}
    ],
    "original_message_id": "m",
    "reply_text": "",
    "auto_reason": "",
    "returns_on": "",
    "match": {
        "delivery_id": "d1",
        "recipient": "a@b.test",
        "matched_by": "returned_message_id",
        "confidence": 1.0,
    },
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json=_ANSWER)

    api = Api("http://p.test", "key", httpx.MockTransport(answer))
    monkeypatch.setattr(Api, "from_environment", classmethod(lambda _: api))
    return requests


def test_a_mail_is_sent_to_the_watcher_and_its_answer_is_shown(
    asked: list[httpx.Request], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mail = tmp_path / "mail.eml"
    mail.write_bytes(b"Subject: x\r\n\r\n\xff")
    inbox.explain(mail, sender="s1")
    assert asked[0].content == mail.read_bytes()
    assert asked[0].url.params["sender"] == "s1"
    shown = capsys.readouterr().out
    assert "bounce (delivery-status action failed)" in shown
    assert "a@b.test 5.1.1 hard unknown_user" in shown
    assert "delivery d1" in shown


def test_json_is_the_answer_with_the_name_of_the_file(
    asked: list[httpx.Request], tmp_path: Path
) -> None:
    mail = tmp_path / "mail.eml"
    mail.write_bytes(b"x")
    result = CliRunner().invoke(inbox.app, [str(mail), "--json"])
    assert json.loads(result.output) == {**_ANSWER, "file": str(mail)}
    assert len(asked) == 1


def test_a_file_that_is_not_there_is_wrong_usage(asked: list[httpx.Request]) -> None:
    with pytest.raises(Refused) as refused:
        inbox.explain(Path("/nowhere.eml"))
    assert refused.value.code == ExitCode.USAGE
    assert asked == []
