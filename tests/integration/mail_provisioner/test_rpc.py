"""What the sender registry asks for over the bus: an internal sender's mailbox, and its undoing."""

from typing import Any

import orjson
import pytest

from tests.support.provisioner import ACCOUNTS, Service, opened


async def ask(service: Service, what: str, **request: Any) -> dict[str, Any]:
    answer = await service.bus.request(f"rpc.mailbox.{what}", orjson.dumps(request), timeout=5)
    content: dict[str, Any] = orjson.loads(answer.data)
    return content


@pytest.mark.seed("S6", "S7", "S8")
async def test_a_mailbox_is_made_once_for_one_request(service: Service) -> None:
    domain = await service.domain()
    answers = [
        await ask(service, "create", domain=domain, prefix="Alex", request_id="r-1")
        for _ in range(2)
    ]
    made = {"address": f"alex@{domain}", "state": "written", "code": "", "reason": ""}
    assert answers == [made, made]
    assert len(service.lines(ACCOUNTS)) == 1
    (event,) = await service.events(f"alex@{domain}", 1)
    assert (event[0], event[1]["request_id"]) == ("mailbox.created", "r-1")
    assert len(opened(await service.secret(f"alex@{domain}"))) == 32


@pytest.mark.seed("S5")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"domain": "unknown.test"}, "UNKNOWN_DOMAIN"),
        ({"prefix": "no-reply"}, "NAME_HAS_SEPARATOR"),
        ({"prefix": "taken"}, "ADDRESS_IN_USE"),
        ({"display_name": "a\nb"}, "INVALID"),
    ],
)
async def test_a_refused_request_says_why_and_leaves_nothing(
    service: Service, change: dict[str, str], code: str
) -> None:
    domain = await service.domain()
    await service.post("/mailboxes", domain=domain, prefix="taken", request_id="r-0")
    wanted = {"domain": domain, "prefix": "alex", "request_id": "r-1", **change}
    answer = await ask(service, "create", **wanted)
    assert (answer["state"], answer["code"]) == ("refused", code)
    assert answer["reason"]
    assert len(service.lines(ACCOUNTS)) == 1


async def test_a_creation_is_undone_only_by_who_asked_for_it(service: Service) -> None:
    domain = await service.domain()
    await ask(service, "create", domain=domain, prefix="alex", request_id="r-1")
    address = f"alex@{domain}"
    for other in ("r-2", "", None):
        refused = await ask(service, "delete", address=address, request_id=other)
        assert "another request" in refused["error"]
    assert len(service.lines(ACCOUNTS)) == 1
    for _ in range(2):
        undone = await ask(service, "delete", address=address, request_id="r-1")
        assert undone["state"] == "deleted"
    assert service.lines(ACCOUNTS) == []
    again = await ask(service, "create", domain=domain, prefix="alex", request_id="r-1")
    assert again["state"] == "written"


async def test_a_request_without_an_id_is_refused(service: Service) -> None:
    assert "request_id" in (await ask(service, "create", domain="x.test", prefix="a"))["error"]
