"""The HTTP APIs of three DNS providers over one set of zones, as far as they are used.

with DnsProviders({"fleet.test": [("fleet.test", "TXT", 300, "hello")]}) as world:
    settings = world.settings  # where a provisioner finds Cloudflare, DigitalOcean, Route 53

`journal` has every write in order, as (verb, name, type, value). A write that names a record that is
not there is refused, as the providers do. Values are kept as each provider's callers send them.
"""

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

TOKEN = "the-token-of-a-test"
KEY = {"access_key_id": "AKIATEST", "secret_access_key": "secret"}
_AWS = "https://route53.amazonaws.com/doc/2013-04-01/"

Wanted = tuple[str, str, int, str]  # name, type, ttl, value


@dataclass
class Entry:
    id: str
    zone: str
    name: str
    type: str
    ttl: int
    value: str  # of an MX: `10 mail.one.test`


class DnsProviders:
    def __init__(self, zones: Mapping[str, Iterable[Wanted]]) -> None:
        self._ids = itertools.count(1)
        self.zones = list(zones)
        self.entries: list[Entry] = []
        self.journal: list[tuple[str, str, str, str]] = []
        self.asked: list[str] = []
        self.before_write: Callable[[], None] = lambda: None
        self.fail_with = 0  # a status that every request gets
        self.lock = threading.RLock()
        for zone, wanted in zones.items():
            for each in wanted:
                self.add(zone, *each)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"world": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def settings(self) -> dict[str, str]:
        base = f"http://127.0.0.1:{self._server.server_port}"
        return {
            "cloudflare_url": f"{base}/cloudflare",
            "digitalocean_url": f"{base}/digitalocean",
            "route53_url": base,
        }

    def values(self, name: str, type_: str = "TXT") -> list[str]:
        """Whole texts, quotes and splits undone."""
        found = [e.value for e in self.entries if (e.name, e.type) == (name, type_)]
        return sorted(_joined(value) if type_ == "TXT" else value for value in found)

    def add(self, zone: str, name: str, type_: str, ttl: int, value: str) -> Entry:
        entry = Entry(f"r{next(self._ids)}", zone, name, type_, ttl, value)
        self.entries.append(entry)
        return entry

    def written(self, verb: str, entry: Entry) -> None:
        self.journal.append((verb, entry.name, entry.type, _joined(entry.value)))

    def find(self, id_: str) -> Entry | None:
        return next((e for e in self.entries if e.id == id_), None)

    def of(self, zone: str) -> list[Entry]:
        return [e for e in self.entries if e.zone == zone]


def _joined(value: str) -> str:
    """As a zone file means it (RFC 1035 §5.1): a backslash quotes what follows."""
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', value)))


class _Handler(BaseHTTPRequestHandler):
    world: DnsProviders
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Says nothing."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = urlsplit(self.path).path
        self.world.asked.append(f"{self.command} {path}")
        if self.world.fail_with:
            return self._answer(self.world.fail_with, "{}", "application/json")
        if self.command != "GET":
            self.world.before_write()
        with self.world.lock:
            for prefix, play in _PLAYS.items():
                if path.startswith(prefix):
                    status, text = play(self, path.removeprefix(prefix).strip("/"), body)
                    kind = "text/xml" if play is _route53 else "application/json"
                    return self._answer(status, text, kind)
        return self._answer(404, "{}", "application/json")

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _answer(self, status: int, text: str, kind: str) -> None:
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def _cloudflare(handler: _Handler, path: str, body: bytes) -> tuple[int, str]:
    world = handler.world
    if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
        return 403, json.dumps({"errors": [{"message": "Authentication error"}]})
    parts = path.split("/")
    if parts == ["zones"]:
        result: Any = [{"id": f"z-{zone}", "name": zone} for zone in world.zones]
        return 200, json.dumps({"result": result, "result_info": {"count": 0, "per_page": 50}})
    zone = parts[1].removeprefix("z-")
    if handler.command == "GET":
        result = [_cloudflare_record(entry) for entry in world.of(zone)]
        return 200, json.dumps({"result": result, "result_info": {"count": 0, "per_page": 100}})
    if handler.command == "DELETE":
        return _delete(world, parts[3])
    data = json.loads(body)
    value = data["content"]
    if data["type"] == "MX":
        value = f"{data['priority']} {value.rstrip('.')}"
    if handler.command == "POST":
        entry = world.add(zone, data["name"], data["type"], data["ttl"], value)
    else:
        entry = world.find(parts[3])
        if entry is None:
            return 404, "{}"
        entry.value, entry.ttl = value, data["ttl"]
    world.written("add" if handler.command == "POST" else "change", entry)
    return 200, json.dumps({"result": _cloudflare_record(entry)})


def _cloudflare_record(entry: Entry) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": entry.id, "name": entry.name, "type": entry.type}
    shown |= {"ttl": entry.ttl, "content": entry.value, "proxied": False}
    if entry.type == "MX":
        priority, _, shown["content"] = entry.value.partition(" ")
        shown["priority"] = int(priority)
    return shown


def _delete(world: DnsProviders, id_: str) -> tuple[int, str]:
    entry = world.find(id_)
    if entry is None:
        return 404, "{}"
    world.entries.remove(entry)
    world.written("delete", entry)
    return 200, json.dumps({"result": {"id": id_}})


def _digitalocean(handler: _Handler, path: str, body: bytes) -> tuple[int, str]:
    world = handler.world
    if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
        return 401, json.dumps({"id": "Unauthorized"})
    parts = path.split("/")
    if parts == ["domains"]:
        return 200, json.dumps({"domains": [{"name": z} for z in world.zones], "links": {}})
    zone = parts[1]
    if zone not in world.zones:
        return 404, "{}"
    if parts == ["domains", zone]:
        return 200, json.dumps({"domain": {"name": zone}})
    if handler.command == "GET":
        records = [_digitalocean_record(entry) for entry in world.of(zone)]
        return 200, json.dumps({"domain_records": records, "links": {}})
    if handler.command == "DELETE":
        return _delete(world, parts[3])[0], ""
    data = json.loads(body)
    name = zone if data["name"] == "@" else f"{data['name']}.{zone}"
    value = data["data"]
    if data["type"] == "MX":
        if not value.endswith("."):
            return 422, json.dumps({"message": "Data needs to end with a dot (.)"})
        value = f"{data['priority']} {value.rstrip('.')}"
    world.written("add", world.add(zone, name, data["type"], data["ttl"], value))
    return 201, "{}"


def _digitalocean_record(entry: Entry) -> dict[str, Any]:
    host = entry.name.removesuffix(entry.zone).rstrip(".") or "@"
    shown: dict[str, Any] = {"id": entry.id, "type": entry.type, "name": host, "ttl": entry.ttl}
    shown["data"], shown["priority"] = _joined(entry.value), None
    if entry.type == "MX":
        priority, _, shown["data"] = entry.value.partition(" ")
        shown["priority"] = int(priority)
    return shown


def _route53(handler: _Handler, path: str, body: bytes) -> tuple[int, str]:
    world = handler.world
    if f"Credential={KEY['access_key_id']}/" not in handler.headers.get("Authorization", ""):
        return 403, _aws_error("InvalidClientTokenId", "The security token is invalid.")
    if path == "hostedzone":
        zones = "".join(
            f"<HostedZone><Id>/hostedzone/Z-{z}</Id><Name>{z}.</Name>"
            "<CallerReference>x</CallerReference></HostedZone>"
            for z in world.zones
        )
        return 200, (
            f'<ListHostedZonesResponse xmlns="{_AWS}"><HostedZones>{zones}</HostedZones>'
            "<IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesResponse>"
        )
    zone = path.split("/")[1].removeprefix("Z-")
    if handler.command == "GET":
        sets = "".join(map(_aws_set, _grouped(world.of(zone))))
        return 200, (
            f'<ListResourceRecordSetsResponse xmlns="{_AWS}"><ResourceRecordSets>{sets}'
            "</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>300</MaxItems>"
            "</ListResourceRecordSetsResponse>"
        )
    return _aws_change(world, zone, ElementTree.fromstring(body))


def _grouped(entries: list[Entry]) -> list[list[Entry]]:
    sets: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        sets.setdefault((entry.name, entry.type), []).append(entry)
    return list(sets.values())


def _aws_value(entry: Entry) -> str:
    if entry.type != "TXT":
        return f"{entry.value}." if entry.type in ("MX", "NS", "CNAME") else entry.value
    return entry.value if entry.value.startswith('"') else f'"{entry.value}"'


def _aws_set(entries: list[Entry]) -> str:
    values = "".join(
        f"<ResourceRecord><Value>{escape(_aws_value(e))}</Value></ResourceRecord>" for e in entries
    )
    return (
        f"<ResourceRecordSet><Name>{entries[0].name}.</Name><Type>{entries[0].type}</Type>"
        f"<TTL>{entries[0].ttl}</TTL><ResourceRecords>{values}</ResourceRecords></ResourceRecordSet>"
    )


def _aws_change(world: DnsProviders, zone: str, batch: ElementTree.Element) -> tuple[int, str]:
    """All changes of a batch or none; a DELETE must name the set exactly as it is."""
    space = {"a": _AWS}
    before, journal = list(world.entries), list(world.journal)
    for change in batch.iterfind(".//a:Change", space):
        action = change.findtext("a:Action", "", space)
        name = change.findtext(".//a:Name", "", space).rstrip(".")
        type_ = change.findtext(".//a:Type", "", space)
        ttl = int(change.findtext(".//a:TTL", "0", space))
        values = [v.text or "" for v in change.iterfind(".//a:Value", space)]
        there = [e for e in world.of(zone) if (e.name, e.type) == (name, type_)]
        fits = action == "CREATE" and not there
        if action == "DELETE":
            fits = sorted(map(_aws_value, there)) == sorted(values)
        if not fits:
            world.entries, world.journal = before, journal
            return 400, _aws_error("InvalidChangeBatch", f"{action} {name} {type_}: not so")
        world.entries = [e for e in world.entries if e not in there]
        for value in values if action == "CREATE" else ():
            kept = value if type_ == "TXT" else value.rstrip(".")
            world.written(action.lower(), world.add(zone, name, type_, ttl, kept))
    info = (
        "<Id>/change/C1</Id><Status>INSYNC</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt>"
    )
    return 200, (
        f'<ChangeResourceRecordSetsResponse xmlns="{_AWS}"><ChangeInfo>{info}</ChangeInfo>'
        "</ChangeResourceRecordSetsResponse>"
    )


def _aws_error(code: str, message: str) -> str:
    return (
        f'<ErrorResponse xmlns="{_AWS}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )


_PLAYS: dict[str, Callable[[_Handler, str, bytes], tuple[int, str]]] = {
    "/cloudflare/": _cloudflare,
    "/digitalocean/": _digitalocean,
    "/2013-04-01/": _route53,
}
