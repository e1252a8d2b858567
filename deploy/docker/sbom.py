"""Prints what is installed beside this interpreter as CycloneDX 1.6: name, version, licence, purl.

python deploy/docker/sbom.py NAME > sbom.cdx.json
"""

import importlib.metadata
import json
import re
import sys
from typing import Any

_NOT_SHIPPED = {"pip", "setuptools"}  # taken out of the image afterwards


def bill(name: str) -> dict[str, Any]:
    """The bill of materials; the same environment gives the same bytes."""
    found = {_name(d): d for d in importlib.metadata.distributions()}
    parts = [_component(key, found[key]) for key in sorted(found.keys() - _NOT_SHIPPED)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": name, "name": name}},
        "components": parts,
    }


def _name(distribution: importlib.metadata.Distribution) -> str:
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()


def _component(name: str, distribution: importlib.metadata.Distribution) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{distribution.version}"
    part: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": distribution.version,
        "purl": purl,
    }
    expression = distribution.metadata.get("License-Expression")
    if expression:
        part["licenses"] = [{"expression": expression}]
    else:
        classifiers = distribution.metadata.get_all("Classifier") or []
        names = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: ")]
        part["licenses"] = [{"license": {"name": text}} for text in sorted(set(names))]
    return part


if __name__ == "__main__":
    json.dump(bill(sys.argv[1]), sys.stdout, indent=1)
