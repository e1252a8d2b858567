"""A real Prometheus beside a platform: scrapes its gateway every second and answers PromQL."""

import shutil
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from tests.support.ports import free_ports
from tests.support.process import ServerProcess, listens

PROGRAM = shutil.which("prometheus")


class Prometheus:
    """`with Prometheus(directory, "127.0.0.1:8080") as prometheus: prometheus.ask("up")`."""

    def __init__(self, folder: Path, target: str) -> None:
        self._folder, self._target = folder, target
        (self._port,) = free_ports(1)
        self._process: ServerProcess | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        job = {"job_name": "postfleet", "honor_labels": True}
        scrape = [{**job, "static_configs": [{"targets": [self._target]}]}]
        intervals = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        config = self._folder / "prometheus.yml"
        config.write_text(yaml.safe_dump({"global": intervals, "scrape_configs": scrape}))
        self._process = ServerProcess(
            [
                *(str(PROGRAM), f"--config.file={config}"),
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            self._folder / "log",
        )
        self._process.wait_until(lambda: listens(self._port), "Prometheus", 60)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The instant vector; a query that Prometheus refuses raises with its words."""
        answer = httpx.get(
            f"http://127.0.0.1:{self._port}/api/v1/query",
            params={"query": query},
            timeout=30,
            trust_env=False,
        ).json()
        if answer["status"] != "success":
            raise ValueError(f"{query}: {answer['error']}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found
