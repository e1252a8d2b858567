"""`python -m postfleet_sandbox --data DIR`: the mail world as a process."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from postfleet_sandbox.sandbox import Sandbox
from postfleet_sandbox.submission import HOST


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    try:
        uvloop.run(_run(_arguments(sys.argv[1:])))
    except OSError as error:
        sys.stderr.write(f"postfleet-sandbox: {error}\n")
        return 1
    return 0


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="postfleet-sandbox", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where everything is kept")
    for port in ("smtp", "smtps", "imap", "control"):
        parser.add_argument(f"--{port}-port", type=int, default=0, help="0: any free port")
    parser.add_argument("--host", default=HOST, help="where to listen")
    parser.add_argument("--name", default=HOST, help="by which clients know this machine")
    parser.add_argument(
        "--platform",
        type=_origin,
        metavar="URL",
        help="where links to 127.0.0.1 are asked for, if this machine is another",
    )
    parser.add_argument("--seed", type=int, default=1, help="who behaves how")
    parser.add_argument("--people-domain", default="people.test")
    parser.add_argument(
        "--human-delay",
        type=_span,
        default=(5.0, 8.0),
        metavar="FROM-TO",
        help="seconds from acceptance to a human open (default 5.0-8.0)",
    )
    return parser.parse_args(words)


def _origin(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(text)
    return text.rstrip("/")


def _span(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    span = float(low), float(high or low)
    if not 0 <= span[0] <= span[1]:
        raise ValueError(text)
    return span


async def _run(wanted: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    async with Sandbox(
        data=wanted.data,
        seed=wanted.seed,
        people_domain=wanted.people_domain,
        human_delay_s=wanted.human_delay,
        smtp_port=wanted.smtp_port,
        smtps_port=wanted.smtps_port,
        imap_port=wanted.imap_port,
        control_port=wanted.control_port,
        host=wanted.host,
        name=wanted.name,
        platform=wanted.platform or "",
    ) as box:
        sys.stdout.write(
            f"sandbox on {wanted.host}: smtp {box.smtp_port}, smtps {box.smtps_port}, "
            f"imaps {box.imap_port}, control http://{wanted.host}:{box.control_port}\n"
        )
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
