"""Writes the dashboards of `boards.py` as Grafana reads them.

python deploy/grafana/render.py            compares with the files, and fails if they differ
python deploy/grafana/render.py --write    deploy/grafana/dashboards/*.json
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from boards import BOARDS, Panel

FOLDER = Path(__file__).with_name("dashboards")
SOURCE = {"type": "prometheus", "uid": "prometheus"}
_HEIGHTS = {"timeseries": 8, "stat": 4, "ready": 4}
_READY = {
    "type": "value",
    "options": {
        "0": {"text": "not ready", "color": "red"},
        "1": {"text": "ready", "color": "green"},
    },
}


def dashboards() -> dict[str, str]:
    """File name -> content. The same boards give the same bytes."""
    return {
        f"{name}.json": json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n"
        for name in BOARDS
    }


def dashboard(name: str) -> dict[str, Any]:
    title, panels = BOARDS[name]
    links = {"type": "dashboards", "tags": ["postfleet"], "title": "Postfleet", "asDropdown": True}
    alerts = {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing", severity="critical"}',
        "titleFormat": "{{alertname}}",
        "step": "60s",
    }
    return {
        "uid": f"postfleet-{name}",
        "title": title,
        "tags": ["postfleet"],
        "timezone": "browser",
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "graphTooltip": 1,
        "links": [links],
        "annotations": {"list": [alerts]},
        "templating": {"list": []},
        "panels": _laid_out(panels),
    }


def _laid_out(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Left to right, a new row when one is full; all of a row are as high as its first."""
    x, y, height, placed = 0, 0, 0, []
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > 24:
            x, y = 0, y + height
        if x == 0:
            height = _HEIGHTS[panel.kind]
        place = {"x": x, "y": y, "w": panel.width, "h": height}
        placed.append({"id": number, "gridPos": place, **_panel(panel)})
        x += panel.width
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    line = panel.kind == "timeseries"
    return {
        "type": "timeseries" if line else "stat",
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _LINE_OPTIONS if line else _stat_options(panel),
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                **({} if line else {"instant": True}),
            }
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }


_LINE_OPTIONS = {
    "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def _stat_options(panel: Panel) -> dict[str, Any]:
    ready = panel.kind == "ready"
    return {
        "colorMode": "background" if ready else "value",
        "graphMode": "none",
        "textMode": "value_and_name" if ready else "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.kind == "ready":
        steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    elif panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})
    found: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "ready":
        found["mappings"] = [_READY]
    if panel.kind == "timeseries":
        found["custom"] = {
            "drawStyle": "line",
            "fillOpacity": 10,
            "lineWidth": 1,
            "showPoints": "never",
            "thresholdsStyle": {"mode": "off" if panel.alarm is None else "line"},
        }
    return found


def main() -> None:
    wanted = dashboards()
    if sys.argv[1:] == ["--write"]:
        for name, text in wanted.items():
            (FOLDER / name).write_text(text)
        return
    found = {file.name: file.read_text() for file in FOLDER.glob("*.json")}
    if found != wanted:
        raise SystemExit("the dashboards differ: python deploy/grafana/render.py --write")


if __name__ == "__main__":
    main()
