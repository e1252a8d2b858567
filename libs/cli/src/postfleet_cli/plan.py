"""What `postfleet up` runs, as data: options, directory and keys in, programs out."""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from postfleet_cli import ports
from postfleet_cli.child import Program
from postfleet_cli.datadir import DataDir, Keys
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.ports import HOST, PortUse
from postfleet_cli.routes import SERVICES, module_of, url_variable

SANDBOX_PORTS = ("smtp_port", "smtps_port", "imap_port", "control_port")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `postfleet up`."""

    data: Path = Path(".postfleet")
    demo: bool = False
    sandbox: bool = False
    http_port: int = 8080
    smtp_port: int = 2587
    nats_port: int = 4222
    mongo_port: int = 27017

    @property
    def with_sandbox(self) -> bool:
        return self.demo or self.sandbox


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens. NATS and MongoDB are embedded where the environment names none."""

    http_port: int
    smtp_port: int
    nats_url: str
    mongodb_url: str
    embedded_nats_port: int | None
    embedded_mongo_port: int | None
    service_ports: Mapping[str, int]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.http_port}"


def port_uses(options: Options, environ: Mapping[str, str]) -> list[PortUse]:
    """The ports that must be free before anything starts."""
    uses = [
        PortUse(options.http_port, "HTTP", "--http-port"),
        PortUse(options.smtp_port, "SMTP", "--smtp-port"),
    ]
    if not environ.get("NATS_URL"):
        uses.append(PortUse(options.nats_port, "NATS", "--nats-port"))
    if not environ.get("MONGODB_URL"):
        uses.append(PortUse(options.mongo_port, "the database", "--mongo-port"))
    return uses


def addresses(options: Options, environ: Mapping[str, str]) -> Addresses:
    """Settle every address; the services' own ports are whichever are free."""
    nats_url, mongodb_url = environ.get("NATS_URL"), environ.get("MONGODB_URL")
    return Addresses(
        http_port=options.http_port,
        smtp_port=options.smtp_port,
        nats_url=nats_url or f"nats://{HOST}:{options.nats_port}",
        mongodb_url=mongodb_url or f"mongodb://{HOST}:{options.mongo_port}/?w=1",
        embedded_nats_port=None if nats_url else options.nats_port,
        embedded_mongo_port=None if mongodb_url else options.mongo_port,
        service_ports=dict(zip(SERVICES, ports.free(len(SERVICES)), strict=True)),
    )


def nats(
    data: DataDir, port: int, environ: Mapping[str, str], monitor_port: int | None = None
) -> Program:
    """JetStream on disk: one node, so a PubAck means that the message is on disk.

    `monitor_port` serves `/healthz`: a full disk freezes a stream until the server is started again.
    """
    data.nats.mkdir(exist_ok=True, mode=0o700)
    config = data.path / "nats.conf"
    monitor = f"http: {json.dumps(f'{HOST}:{monitor_port}')}\n" if monitor_port else ""
    config.write_text(
        monitor + f"listen: {json.dumps(f'{HOST}:{port}')}\n"
        "server_name: postfleet\n"
        f"jetstream {{ store_dir: {json.dumps(str(data.nats))}, sync_interval: always }}\n"
    )
    return Program("nats", (_beside("nats-server"), "-c", str(config)), environ)


def database(data: DataDir, port: int, environ: Mapping[str, str]) -> Program:
    """A real MongoDB if there is one, unless this directory holds the embedded server's files."""
    mongod = shutil.which("mongod", path=environ.get("PATH"))
    if mongod and not data.mongo.exists():
        data.mongod.mkdir(exist_ok=True, mode=0o700)
        where = ("--dbpath", str(data.mongod), "--bind_ip", HOST, "--port", str(port))
        return Program("database", (mongod, *where), environ)
    if data.mongod.exists():
        raise Refused(
            ExitCode.UNAVAILABLE,
            f"{data.mongod} holds a MongoDB's data, but there is no mongod on PATH. "
            "Install it again, or choose another directory with --data DIR",
        )
    data.mongo.mkdir(exist_ok=True, mode=0o700)
    pid_file = data.path / "database.pid"
    argv = (
        *(sys.executable, "-m", "postfleet_cli.quiet_database"),
        *("--data-dir", str(data.mongo), "--host", HOST, "--port", str(port)),
        *("--pid-file", str(pid_file), "--log-file", "/dev/null"),
    )
    return Program("database", argv, environ, stale=(pid_file,))


def sandbox(data: DataDir, environ: Mapping[str, str]) -> Program:
    """The mail world, on the ports it had before: senders are registered with them."""
    if find_spec("postfleet_sandbox") is None:
        raise Refused(
            ExitCode.UNAVAILABLE, "--demo and --sandbox need the package postfleet-sandbox"
        )
    argv = [sys.executable, "-m", "postfleet_sandbox", "--data", str(data.sandbox)]
    argv += ["--name", "localhost"]
    for name, port in _sandbox_ports(data).items():
        argv += [f"--{name.replace('_', '-')}", str(port)]
    return Program("sandbox", tuple(argv), environ)


#: glibc keeps an arena for each of many threads, and what is freed in it: two of them do.
_MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072"}

#: What the programs below import, all or most of them: imported once and shared (`postfleet.nursery`).
_SHARED_MODULES = (
    "postfleet.serving",
    "postfleet.http",
    "postfleet.outbox",
    "postfleet.leash",
    "postfleet.tokens",
    "postfleet.reachable",
    "fastapi.staticfiles",
    "httpx",
    "pydantic_settings",
    "cryptography.hazmat.primitives.ciphers.aead",
    "dns.asyncresolver",
    "aiosmtplib",
    "httptools",
    "uvloop",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
)


def nursery(name: str, environ: Mapping[str, str]) -> Program:
    """Whom gateway and services are forked from."""
    argv = (sys.executable, "-m", "postfleet.nursery", name, *_SHARED_MODULES)
    return Program("nursery", argv, {**environ, **_MEMORY})


def gateway(where: Addresses, environ: Mapping[str, str], nursery: str | None = None) -> Program:
    """The one address of everything."""
    env = {
        **environ,
        "POSTFLEET_HTTP_HOST": HOST,
        "POSTFLEET_HTTP_PORT": str(where.http_port),
        **{url_variable(s): f"http://{HOST}:{p}" for s, p in where.service_ports.items()},
    }
    argv = (sys.executable, "-m", "postfleet_cli.gateway")
    return Program("gateway", argv, env, nursery=nursery)


#: Mail servers and receivers of webhooks may stand on the machine where everything runs.
_BESIDE_US = "127.0.0.0/8,::1/128"

#: In the mail world of the demo a day takes a minute: new senders send all of it at once, and who
#: asked to be tried again later is tried again in seconds. 3.5 % of its people bounce, which in
#: the first hundred mails may be more than the 5 % that pause a campaign.
_DEMO_PACE = {
    "POSTFLEET_SENDER_REGISTRY_ENFORCE_AGE_RAMP": "false",
    "POSTFLEET_DISPATCHER_RETRY_BASE_SECONDS": "5",
    "POSTFLEET_DISPATCHER_BREAKER_PAUSE_SECONDS": "5",
    "POSTFLEET_DISPATCHER_PAUSE_MIN_SENDS": "1000",
}


def services(
    options: Options,
    data: DataDir,
    where: Addresses,
    keys: Keys,
    ca_file: str | None,
    environ: Mapping[str, str],
    nursery: str | None = None,
) -> list[Program]:
    """The five services; what the environment says of them otherwise holds."""
    common = {
        **(_DEMO_PACE if options.demo else {}),
        **_MEMORY,
        "POSTFLEET_SENDER_REGISTRY_ALLOWED_NETWORKS": _BESIDE_US,
        "POSTFLEET_TRACKER_WEBHOOK_NETWORKS": _BESIDE_US,
        "POSTFLEET_SENDER_REGISTRY_RELAY_SUBMISSION_PORT": str(where.smtp_port),
        "POSTFLEET_TRACKER_SPOOL_DIR": str(data.spool),
        **({"POSTFLEET_TLS_CA_FILE": ca_file} if ca_file else {}),
        **environ,
        "POSTFLEET_PUBLIC_URL": environ.get("POSTFLEET_PUBLIC_URL") or where.url,
        "NATS_URL": where.nats_url,
        "MONGODB_URL": where.mongodb_url,
        "MASTER_KEY": keys.master_key,
        "POSTFLEET_API_KEY": keys.api_key,
        "POSTFLEET_HTTP_HOST": HOST,
        "POSTFLEET_DATA_DIR": str(data.path),
        "POSTFLEET_DISPATCHER_SMTP_PORT": str(where.smtp_port),
        **({"POSTFLEET_NURSERY": nursery} if nursery else {}),
    }
    if where.embedded_nats_port:
        common = {k: v for k, v in common.items() if k not in ("NATS_USER", "NATS_PASSWORD")}
    return [
        Program(
            service,
            (sys.executable, "-m", module_of(service)),
            {**common, "POSTFLEET_HTTP_PORT": str(port)},
            nursery=nursery,
        )
        for service, port in where.service_ports.items()
    ]


def _beside(name: str) -> str:
    """A program that a wheel put beside the interpreter, else the one on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Refused(
            ExitCode.UNAVAILABLE,
            f"{name} is not installed: run `make up` again after `make clean`, or set NATS_URL",
        )
    return found


def _sandbox_ports(data: DataDir) -> dict[str, int]:
    announced = data.sandbox / "sandbox.json"
    if not announced.exists():
        return dict(zip(SANDBOX_PORTS, ports.free(len(SANDBOX_PORTS)), strict=True))
    before = json.loads(announced.read_text())
    known = {name: int(before[name]) for name in SANDBOX_PORTS}
    for name, port in known.items():
        if not ports.is_free(port):
            raise Refused(
                ExitCode.UNAVAILABLE,
                f"port {port}, the sandbox's {name.removesuffix('_port')} port in {data.path}, is "
                "in use. Stop what uses it, or choose another directory with --data DIR",
            )
    return known
