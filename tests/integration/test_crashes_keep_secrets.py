"""A process that dies tells what it did, never what it knew."""

import subprocess
import sys

import pytest

_CANARY = "canary-of-the-crash"
_SERVICE = """
import asyncio, contextlib, faulthandler, os, resource, sys
from types import SimpleNamespace
from fastapi import FastAPI
from postfleet import logs, serving
from tests.support.ports import free_ports

async def log_in(password):
    opened = {{"smtp_password": password}}
    {crash}

@contextlib.asynccontextmanager
async def lifespan(app):
    print("core", resource.getrlimit(resource.RLIMIT_CORE), flush=True)
    task = asyncio.create_task(log_in(sys.stdin.readline().strip()))
    await asyncio.sleep(0.05)
    {await_it}
    yield

faulthandler.enable()
logs.configure("test", "DEBUG")
settings = SimpleNamespace(http_host="127.0.0.1", http_port=free_ports(1)[0])
serving.serve(FastAPI(title="Postfleet test", lifespan=lifespan), settings)
"""


@pytest.mark.seed("S25")
@pytest.mark.parametrize(
    ("crash", "await_it", "told"),
    [
        pytest.param("{}[opened is None]", "await task", "KeyError: False", id="an exception"),
        pytest.param("1 / 0", "del task", "ZeroDivisionError", id="a task that nobody awaits"),
        pytest.param("os.abort()", "pass", "Fatal Python error: Aborted", id="abort"),
        pytest.param(
            "faulthandler._sigsegv()", "pass", "Segmentation fault", id="a segmentation fault"
        ),
    ],
)
def test_a_crash_shows_where_and_not_what(crash: str, await_it: str, told: str) -> None:
    """Frames have no values, and there is no core file."""
    program = _SERVICE.format(crash=crash, await_it=await_it)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{_CANARY}\n")
        process.stdin.flush()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "startup complete" in line:
                process.terminate()
        process.wait(30)
    output = "".join(lines)
    assert "core (0, 0)" in output
    assert told in output
    assert "log_in" in output
    assert _CANARY not in output
