"""Writes what the Prometheus operator reads: which pods to scrape, and the alerts of rules.yml.

python deploy/prometheus/render.py            compares, and fails if they differ
python deploy/prometheus/render.py --write    deploy/k8s/overlays/production/monitoring.yaml
"""

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yml"
TARGET = ROOT / "deploy/k8s/overlays/production/monitoring.yaml"
HEAD = """\
# Written by deploy/prometheus/render.py; the alerts are those of deploy/prometheus/rules.yml.
# The gateway's /metrics repeats those of the services: it is not scraped.
"""
SERVICES = ("dispatcher", "inbox-watcher", "mail-provisioner", "sender-registry", "tracker")


def render() -> str:
    """Both objects. The same rules give the same bytes."""
    labels = {"app.kubernetes.io/part-of": "postfleet"}
    ours = {"key": "app.kubernetes.io/name", "operator": "In", "values": list(SERVICES)}
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "postfleet", "namespace": "postfleet", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels, "matchExpressions": [ours]},
            "endpoints": [
                {
                    "port": "http",
                    "path": "/metrics",
                    "interval": "15s",
                    "honorLabels": True,
                    "relabelings": [{"targetLabel": "job", "replacement": "postfleet"}],
                }
            ],
        },
    }
    rules = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "postfleet", "namespace": "postfleet", "labels": labels},
        "spec": yaml.safe_load(RULES.read_text()),
    }
    return HEAD + yaml.safe_dump_all([monitor, rules], sort_keys=False, width=100)


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        TARGET.write_text(render())
    elif not TARGET.exists() or TARGET.read_text() != render():
        raise SystemExit(f"{TARGET} differs: python deploy/prometheus/render.py --write")


if __name__ == "__main__":
    main()
