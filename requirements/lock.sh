#!/usr/bin/env bash
# Writes the locks again from the pyproject files: names, versions and hashes, never an address.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
export_lock() { "$uv" export --quiet --no-header --format requirements.txt --no-emit-workspace --no-annotate "$@"; }
"$uv" lock --quiet "$@"
export_lock --all-packages --all-extras --group dev --no-group build > requirements/all.txt
export_lock --only-group build > requirements/build.txt
for service in sender-registry dispatcher inbox-watcher tracker mail-provisioner cli sandbox; do
    export_lock --no-dev --package "postfleet-$service" > "requirements/$service.txt"
done
