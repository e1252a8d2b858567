"""The gateway in front of five small apps, without a network."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.gateway import GatewaySettings, build
from postfleet_cli.routes import SERVICES

_METRICS = "# HELP up_now It runs\n# TYPE up_now gauge\nup_now 1\n"


async def _echo(request: Request) -> Response:
    """What arrived, so that tests can look at it."""
    body = (await request.body()).decode()
    seen = {
        "service": request.app.state.name,
        "method": request.method,
        "target": (request.scope["raw_path"] + b"?" + request.scope["query_string"]).decode(),
        "headers": dict(request.headers),
        "body": body,
    }
    headers = {"X-Seen": json.dumps(seen), "Connection": "close, X-Private", "X-Private": "1"}
    headers["Set-Cookie"] = "a=1"
    return JSONResponse(seen, int(request.query_params.get("status", 200)), headers=headers)


def _service(name: str, *, ready: bool = True) -> Starlette:
    async def readyz(_: Request) -> Response:
        return JSONResponse({"checks": {"bus": "ok"}}, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(_METRICS)

    async def openapi(_: Request) -> Response:
        resource = {"tracker": "analytics", "dispatcher": "campaigns"}.get(name, "nothing")
        schema = {"type": "object", "title": name}
        reference = {"$ref": "#/components/schemas/Thing"}
        operation = {
            "summary": f"All of {name}",
            "tags": ["x"],
            "requestBody": {"content": {"application/json": {"schema": reference}}},
            "responses": {},
        }
        paths = {f"/api/public/v1/{resource}": {"get": operation}, "/healthz": {"get": operation}}
        return JSONResponse({"paths": paths, "components": {"schemas": {"Thing": schema}}})

    routes = [
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        Route("/{path:path}", _echo, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    ]
    app = Starlette(routes=routes)
    app.state.name = name
    return app


class _Network(httpx.AsyncBaseTransport):
    """Host name -> app; a host without an app refuses connections, `slow` never answers."""

    def __init__(self) -> None:
        self.apps = {name: _service(name) for name in SERVICES}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host not in self.apps:
            raise httpx.ConnectError("refused")
        if request.url.path.endswith("/slow"):
            raise httpx.ReadTimeout("slow")
        app = self.apps[request.url.host]
        return await httpx.ASGITransport(app).handle_async_request(request)


@pytest.fixture
def network() -> _Network:
    return _Network()


@pytest.fixture
async def gateway(network: _Network) -> AsyncIterator[httpx.AsyncClient]:
    app = build({name: f"http://{name}:8000" for name in SERVICES}, network)
    transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://postfleet.test") as client:
        yield client


async def test_a_request_reaches_its_service_unchanged(gateway: httpx.AsyncClient) -> None:
    target = "/api/public/v1/campaigns/a%2Fb%20c?x=1&x=%26&y="
    answer = await gateway.post(target, content=b"hello", headers={"X-API-Key": "k"})
    seen = answer.json()
    assert (seen["service"], seen["method"], seen["body"]) == ("dispatcher", "POST", "hello")
    assert seen["target"] == target
    assert seen["headers"]["x-api-key"] == "k"
    assert seen["headers"]["content-length"] == "5"
    assert seen["headers"]["host"] == "postfleet.test"


async def test_the_answer_comes_back_with_its_status_and_headers(
    gateway: httpx.AsyncClient,
) -> None:
    answer = await gateway.get("/api/public/v1/webhooks?status=422")
    assert answer.status_code == 422
    assert answer.headers["set-cookie"] == "a=1"
    assert answer.headers["content-type"] == "application/json"


async def test_hop_by_hop_headers_stay_on_their_hop(gateway: httpx.AsyncClient) -> None:
    hop = {"Connection": "keep-alive, X-Hop", "X-Hop": "1", "TE": "trailers", "Upgrade": "h2c"}
    answer = await gateway.get("/api/public/v1/inbound", headers=hop)
    arrived = set(answer.json()["headers"])
    assert not arrived & {"x-hop", "te", "upgrade"}
    assert not {"connection", "x-private"} & set(answer.headers)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, "203.0.113.7", id="the client itself"),
        pytest.param(
            {"X-Forwarded-For": "198.51.100.1"}, "198.51.100.1, 203.0.113.7", id="behind a proxy"
        ),
    ],
)
async def test_the_service_learns_who_asked(
    gateway: httpx.AsyncClient, before: dict[str, str], after: str
) -> None:
    headers = (await gateway.get("/o/token.gif", headers=before)).json()["headers"]
    assert headers["x-forwarded-for"] == after
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == "postfleet.test"


async def test_what_a_service_sets_for_one_client_is_never_sent_for_another(
    gateway: httpx.AsyncClient,
) -> None:
    first = await gateway.get("/login")
    assert "a=1" in first.headers["set-cookie"]
    gateway.cookies.clear()  # another client, who has logged in nowhere
    request = httpx.Request("GET", "http://gateway/login", headers={"host": "gateway"})
    second = await gateway.send(request)
    headers = second.json()["headers"]
    assert "cookie" not in headers
    assert "user-agent" not in headers, "nor does the gateway speak for itself"


async def test_head_is_passed_on_as_head(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.head("/u/token")
    assert json.loads(answer.headers["x-seen"])["method"] == "HEAD"
    assert answer.content == b""


async def test_an_unknown_path_is_a_problem(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/api/public/v1/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "NOT_FOUND"


async def test_a_service_that_is_down_is_503_with_retry_after(
    gateway: httpx.AsyncClient, network: _Network
) -> None:
    del network.apps["dispatcher"]
    answer = await gateway.post("/api/public/v1/messages", json={})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["code"] == "UNAVAILABLE"
    others = await gateway.get("/api/public/v1/analytics/overview")
    assert others.status_code == 200


async def test_a_service_that_takes_too_long_is_504(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/api/public/v1/messages/slow")
    assert (answer.status_code, answer.json()["code"]) == (504, "TIMEOUT")


async def test_health_says_nothing_about_the_services(
    gateway: httpx.AsyncClient, network: _Network
) -> None:
    network.apps.clear()
    assert (await gateway.get("/healthz")).status_code == 200


async def test_ready_means_that_all_five_are(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/readyz")
    assert answer.status_code == 200
    assert set(answer.json()["services"]) == set(SERVICES)


async def test_not_ready_names_who_is_not_and_why(
    gateway: httpx.AsyncClient, network: _Network
) -> None:
    network.apps["tracker"] = _service("tracker", ready=False)
    del network.apps["dispatcher"]
    answer = await gateway.get("/readyz")
    states = answer.json()["services"]
    assert answer.status_code == 503
    assert [name for name, state in states.items() if not state["ready"]] == [
        "dispatcher",
        "tracker",
    ]
    assert states["dispatcher"]["reason"] == "does not answer"
    assert states["tracker"]["checks"] == {"bus": "ok"}


async def test_metrics_are_those_of_all_and_say_who_is_missing(
    gateway: httpx.AsyncClient, network: _Network
) -> None:
    del network.apps["tracker"]
    text = (await gateway.get("/metrics")).text
    assert 'up_now{service="dispatcher"} 1' in text
    assert 'up_now{service="tracker"}' not in text
    assert 'postfleet_gateway_upstream_up{service="tracker"} 0' in text
    assert text.count("# TYPE up_now gauge") == 1


async def test_the_api_document_holds_what_is_routed_and_keeps_clashing_schemas_apart(
    gateway: httpx.AsyncClient,
) -> None:
    document = (await gateway.get("/openapi.json")).json()
    assert list(document["paths"]) == ["/api/public/v1/analytics", "/api/public/v1/campaigns"]
    schemas = document["components"]["schemas"]
    for service, resource in (("dispatcher", "campaigns"), ("tracker", "analytics")):
        operation = document["paths"][f"/api/public/v1/{resource}"]["get"]
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        assert operation["tags"] == [service]
        assert schemas[reference.rsplit("/", 1)[1]]["title"] == service
        refused = operation["responses"]["default"]["content"]["application/problem+json"]
        assert refused["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert "422" not in operation["responses"], "input is refused with a problem, too"
    assert {"status", "code", "detail", "errors"} <= set(schemas["Problem"]["properties"])


async def test_the_page_about_the_api_loads_nothing_from_elsewhere(
    gateway: httpx.AsyncClient,
) -> None:
    answer = await gateway.get("/docs")
    assert "All of tracker" in answer.text
    assert "/api/public/v1/campaigns" in answer.text
    assert "<script" not in answer.text
    assert "http" not in answer.text.replace("http-equiv", "")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_settings_have_container_names_as_defaults() -> None:
    settings = GatewaySettings.read({"POSTFLEET_GATEWAY_TRACKER_URL": "http://127.0.0.1:9/"})
    assert settings.upstreams["mail-provisioner"] == "http://mail-provisioner:8000"
    assert settings.upstreams["tracker"] == "http://127.0.0.1:9"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("POSTFLEET_GATEWAY_DISPATCHER_URL", "dispatcher:8000"), ("POSTFLEET_HTTP_PORT", "eighty")],
)
def test_a_wrong_setting_is_named(variable: str, value: str) -> None:
    with pytest.raises(Refused, match=variable) as refusal:
        GatewaySettings.read({variable: value})
    assert refusal.value.code == ExitCode.CONFIG
