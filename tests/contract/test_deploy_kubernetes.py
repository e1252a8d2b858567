"""The Kubernetes manifests, rendered: valid, hardened, closed by default.

`Kustomization` reads as much of kustomize as our overlays use, so that this runs where there is no
kubectl; where there is one, the last test shows that both see the same.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from postfleet import topology

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy/k8s/base"
OVERLAYS = [BASE, *sorted((ROOT / "deploy/k8s/overlays").iterdir())]
SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if folder.is_dir())
SCRIPTS = Path(sysconfig.get_path("scripts"))

Object = dict[str, Any]


class Kustomization:
    """Resources, ConfigMaps from files, namespace, images, replicas, strategic merge patches."""

    KNOWN = frozenset(
        {"apiVersion", "kind", "namespace", "resources", "configMapGenerator", "generatorOptions"}
        | {"patches", "images", "replicas"}
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec: Object = yaml.safe_load((folder / "kustomization.yaml").read_text())
        if unknown := set(self.spec) - self.KNOWN:
            raise ValueError(f"{folder}: this renderer does not know {unknown}")

    def render(self) -> list[Object]:
        objects = [o for resource in self.spec.get("resources", []) for o in self._load(resource)]
        objects += [self._config_map(entry) for entry in self.spec.get("configMapGenerator", [])]
        for item in objects:
            if "namespace" in self.spec and item["kind"] != "Namespace":
                item["metadata"]["namespace"] = self.spec["namespace"]
        for patch in self.spec.get("patches", []):
            overlay = yaml.safe_load((self.folder / patch["path"]).read_text())
            if overlay.get("$patch") == "delete":
                objects = [o for o in objects if not _targets(patch["target"], o)]
                continue
            objects = [
                _merge(o, {k: overlay[k] for k in ("spec", "data") if k in overlay})
                if _targets(patch["target"], o)
                else o
                for o in objects
            ]
        for change in self.spec.get("replicas", []):
            for item in objects:
                if item["metadata"]["name"] == change["name"] and "replicas" in item.get(
                    "spec", {}
                ):
                    item["spec"]["replicas"] = change["count"]
        for change in self.spec.get("images", []):
            for container in (c for o in objects for c in _containers(o)):
                name, _, tag = container["image"].partition(":")
                if name == change["name"]:
                    new = change.get("newName", name), change.get("newTag", tag)
                    container["image"] = ":".join(new)
        return objects

    def _load(self, resource: str) -> list[Object]:
        path = self.folder / resource
        if path.is_dir():
            return Kustomization(path).render()
        return [o for o in yaml.safe_load_all(path.read_text()) if o]

    def _config_map(self, entry: Object) -> Object:
        if not self.spec["generatorOptions"]["disableNameSuffixHash"]:
            raise ValueError("this renderer does not compute the suffix of kustomize")
        data = {name: (self.folder / name).read_text() for name in entry["files"]}
        data = {Path(name).name: text for name, text in data.items()}
        metadata: Object = {"name": entry["name"]}
        if labels := self.spec["generatorOptions"].get("labels"):
            metadata["labels"] = labels
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _targets(target: dict[str, str], item: Object) -> bool:
    kind, name = target["kind"], target.get("name", ".*")
    return bool(re.fullmatch(kind, item["kind"]) and re.fullmatch(name, item["metadata"]["name"]))


def _merge(base: Any, patch: Any) -> Any:
    """Strategic merge: maps by key, lists of named things by name, all else is replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        gone = {key for key, value in patch.items() if value is None}
        kept = {key: value for key, value in base.items() if key not in gone}
        merged = {key: _merge(base.get(key), v) for key, v in patch.items() if key not in gone}
        return {**kept, **merged}
    if isinstance(base, list) and patch and isinstance(patch[0], dict) and "name" in patch[0]:
        names = {item["name"] for item in base}
        patches = {item["name"]: item for item in patch}
        kept = [_merge(i, patches[i["name"]]) if i["name"] in patches else i for i in base]
        return [i for i in patch if i["name"] not in names] + kept
    return patch


def _containers(item: Object) -> list[Object]:
    spec = item.get("spec", {}).get("template", {}).get("spec", {})
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


OBJECTS = {overlay.name: Kustomization(overlay).render() for overlay in OVERLAYS}
WORKLOADS = [
    pytest.param(o, id=f"{name}-{o['kind']}-{o['metadata']['name']}")
    for name, objects in OBJECTS.items()
    for o in objects
    if "template" in o.get("spec", {})
]
LONG_RUNNING = [p for p in WORKLOADS if p.values[0]["kind"] != "Job"]


def _find(kind: str) -> dict[str, Object]:
    return {o["metadata"]["name"]: o for o in OBJECTS["base"] if o["kind"] == kind}


_OF_OPERATORS = ("keda.sh/", "monitoring.coreos.com/")  # their schemas are not Kubernetes's


@pytest.mark.parametrize("version", ["1.30.0", "1.33.0", "1.37.0"])
@pytest.mark.parametrize("overlay", OBJECTS)
def test_the_api_server_would_accept_it(overlay: str, version: str, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    own = [o for o in OBJECTS[overlay] if not o["apiVersion"].startswith(_OF_OPERATORS)]
    rendered.write_text(yaml.safe_dump_all(own))
    command = [str(SCRIPTS / "kubernetes-validate"), "-k", version, "--strict", str(rendered)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("overlay", OBJECTS)
def test_every_object_is_in_the_one_namespace_and_there_once(overlay: str) -> None:
    seen = [(o["kind"], o["metadata"]["name"]) for o in OBJECTS[overlay]]
    assert len(seen) == len(set(seen))
    others = {o["metadata"].get("namespace") for o in OBJECTS[overlay] if o["kind"] != "Namespace"}
    assert others == {"postfleet"}


def test_the_namespace_enforces_the_restricted_standard() -> None:
    labels = _find("Namespace")["postfleet"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_everything_runs() -> None:
    assert set(_find("Deployment")) == {*SERVICES, "gateway"}
    assert set(_find("StatefulSet")) == {"nats", "mongo"}
    assert set(_find("Job")) == {"bus-apply", "migrate", "mongo-init"}
    for kind in ("Service", "PodDisruptionBudget"):
        assert set(_find(kind)) == {*SERVICES, "gateway", "nats", "mongo"}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_pod_meets_the_restricted_standard(workload: Object) -> None:
    pod = workload["spec"]["template"]["spec"]
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    kinds = {kind for volume in pod["volumes"] for kind in set(volume) - {"name"}}
    assert kinds <= {"emptyDir", "configMap", "persistentVolumeClaim", "secret"}
    for container in _containers(workload):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not {"privileged", "runAsUser"} & set(context)
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_container_has_requests_limits_and_a_version(workload: Object) -> None:
    for container in _containers(workload):
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][bound])
        assert ":" in container["image"]
        assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("workload", LONG_RUNNING)
def test_a_server_has_all_three_probes_and_time_to_end(workload: Object) -> None:
    name = workload["metadata"]["name"]
    (container,) = _containers(workload)
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    if workload["kind"] == "Deployment":
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
        ready = "/healthz" if name == "gateway" else "/readyz"  # one service away is not all
        assert container["readinessProbe"]["httpGet"] == {"path": ready, "port": "http"}
        smtp = [{"name": "smtp", "containerPort": 2587}] if name == "dispatcher" else []
        http = [{"name": "http", "containerPort": 8000}]
        assert sorted(container["ports"], key=str) == sorted(http + smtp, key=str)
    expected = {"dispatcher": 660, "nats": 60, "mongo": 60}.get(name, 45)
    assert workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == expected


@pytest.mark.parametrize("overlay", OBJECTS)
def test_no_secret_is_committed(overlay: str) -> None:
    listed = set(re.findall(r"(?m)^(\w+)=", (ROOT / ".env.example").read_text()))
    assert not any(o["kind"] == "Secret" for o in OBJECTS[overlay])
    for container in (c for o in OBJECTS[overlay] for c in _containers(o)):
        for variable in container.get("env", []):
            if re.search(r"PASSWORD|KEY|SECRET|TOKEN", variable["name"]):
                reference = variable["valueFrom"]["secretKeyRef"]
                assert reference["name"] == "postfleet"
                assert reference["key"] in listed, "deploy/make-env does not write it"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_its_own_secrets_and_no_others(service: str) -> None:
    (container,) = _containers(_find("Deployment")[service])
    module = service.replace("-", "_")
    environment = {variable["name"]: variable for variable in container["env"]}
    keys = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for variable in container["env"]
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    assert keys == {f"{module.upper()}_PASSWORD", "MASTER_KEY", "POSTFLEET_API_KEY"}
    assert environment["NATS_USER"]["value"] == service
    url = environment["MONGODB_URL"]["value"]
    assert f"/{module}?" in url
    order = [variable["name"] for variable in container["env"]]
    for used in re.findall(r"\$\((\w+)\)", url):
        assert order.index(used) < order.index("MONGODB_URL"), "expanded only if set before"


NATS_CLIENTS = [*SERVICES, "bus-apply"]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_who_talks_to_nats_gets_its_authority_and_only_nats_the_key(workload: Object) -> None:
    name, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
    mounts = {m["name"]: m["mountPath"] for c in _containers(workload) for m in c["volumeMounts"]}
    secrets = {v["name"]: v["secret"] for v in pod["volumes"] if "secret" in v}
    if name in NATS_CLIENTS:
        items = [{"key": "ca.crt", "path": "ca.crt"}]
        assert secrets == {"nats-ca": {"secretName": "nats-tls", "items": items}}
        assert mounts["nats-ca"] == "/etc/nats-ca"
    elif name == "nats":
        assert secrets == {"tls": {"secretName": "nats-tls", "defaultMode": 0o440}}
        assert mounts["tls"] == "/etc/nats-tls"
    else:
        assert secrets == {}


@pytest.mark.parametrize("overlay", OBJECTS)
def test_nats_is_reached_over_tls_by_names_in_its_certificate(overlay: str) -> None:
    (config,) = (
        o["data"]
        for o in OBJECTS[overlay]
        if o["kind"] == "ConfigMap" and o["metadata"]["name"] == "postfleet"
    )
    hosts = [re.fullmatch(r"tls://([\w.-]+):4222", url) for url in config["NATS_URL"].split(",")]
    assert all(hosts)
    readme = (ROOT / "deploy/k8s/README.md").read_text()
    assert "deploy/nats/make-certs nats-tls nats nats-{0,1,2}.nats" in readme
    named = {"nats", "nats-0.nats", "nats-1.nats", "nats-2.nats"}
    assert {match.group(1) for match in hosts if match} <= named
    assert config["POSTFLEET_NATS_CA_FILE"] == "/etc/nats-ca/ca.crt"


def test_the_cluster_has_three_nodes_and_keeps_everything_three_times() -> None:
    found = {(o["kind"], o["metadata"]["name"]): o for o in OBJECTS["cluster"]}
    nats = found["StatefulSet", "nats"]
    assert nats["spec"]["replicas"] == 3
    (container,) = _containers(nats)
    assert "/etc/nats/cluster.conf" in container["command"]
    routes = container["command"][-1].split(",")
    assert routes == [f"nats-route://nats-{n}.nats:6222" for n in range(3)]
    assert "cluster.conf" in found["ConfigMap", "nats"]["data"]
    (apply,) = _containers(found["Job", "bus-apply"])
    assert apply["args"] == ["bus", "apply", "--replicas", "3"]
    assert found["Service", "nats"]["spec"]["publishNotReadyAddresses"] is True


# -- production ------------------------------------------------------------------------------------


def _production(kind: str) -> dict[str, Object]:
    return {o["metadata"]["name"]: o for o in OBJECTS["production"] if o["kind"] == kind}


def test_production_has_no_database_of_its_own_and_may_reach_one_outside() -> None:
    names = {(o["kind"], o["metadata"]["name"]) for o in OBJECTS["production"]}
    assert not {name for name in names if "mongo" in name[1]} - {
        ("NetworkPolicy", "services-to-mongodb-outside")
    }
    assert set(_production("Job")) == {"bus-apply"}, "nobody knows its administrator's password"
    config = _production("ConfigMap")["postfleet"]["data"]
    assert config["MONGODB_HOSTS"].count(",") == 2
    assert "replicaSet=" in config["MONGODB_OPTIONS"]
    assert "tls=true" in config["MONGODB_OPTIONS"]
    assert _production("StatefulSet")["nats"]["spec"]["replicas"] == 3


@pytest.mark.parametrize("name", ["dispatcher", "inbox-watcher"])
def test_replicas_follow_the_lag_of_a_durable_that_exists(name: str) -> None:
    scaled = _production("ScaledObject")[name]["spec"]
    assert scaled["scaleTargetRef"] == {"name": name}
    assert 2 <= scaled["minReplicaCount"] < scaled["maxReplicaCount"]
    offered = {p["port"] for p in _production("Service")["nats"]["spec"]["ports"]}
    heard: set[str] = set()
    for trigger in scaled["triggers"]:
        assert trigger["type"] == "nats-jetstream"
        asked = trigger["metadata"]
        durable = topology.durable(asked["consumer"])
        heard |= {durable.name}
        assert (durable.service, durable.stream) == (name, asked["stream"])
        assert f"{asked['account']}: {{" in (ROOT / "deploy/nats/nats.conf").read_text()
        port = int(asked["natsServerMonitoringEndpoint"].rpartition(":")[2])
        assert port in offered
    if name == "dispatcher":  # all partitions, or the senders of one could wait unseen
        assert heard == {
            topology.job_durable("campaign", p) for p in range(topology.JOB_PARTITIONS)
        }
    (rule,) = _production("NetworkPolicy")["nats-from-keda"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": port}]
    assert "replicas" not in _production("Deployment")[name]["spec"], "KEDA's to say"
    down = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    drain = _production("Deployment")[name]["spec"]["template"]["spec"]
    (policy,) = down["policies"]
    assert policy["value"] == 1
    assert policy["periodSeconds"] >= min(drain["terminationGracePeriodSeconds"], 180)


@pytest.mark.parametrize("name", [*SERVICES, "gateway"])
def test_replicas_are_spread_over_zones_and_machines(name: str) -> None:
    pod = _production("Deployment")[name]["spec"]["template"]
    keys = [c["topologyKey"] for c in pod["spec"]["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for constraint in pod["spec"]["topologySpreadConstraints"]:
        labels = pod["metadata"]["labels"]
        assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()
        assert "app.kubernetes.io/name" in constraint["matchLabelKeys"]


def test_prometheus_scrapes_every_service_and_has_the_same_alerts() -> None:
    monitor = _production("ServiceMonitor")["postfleet"]["spec"]
    (only,) = monitor["selector"]["matchExpressions"]
    assert only["values"] == SERVICES
    (endpoint,) = monitor["endpoints"]
    for name in SERVICES:
        service = _production("Service")[name]
        wanted = monitor["selector"]["matchLabels"].items()
        assert wanted <= service["metadata"]["labels"].items()
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    assert _production("PrometheusRule")["postfleet"]["spec"] == rules
    script = ROOT / "deploy/prometheus/render.py"
    assert subprocess.run([sys.executable, str(script)]).returncode == 0


def test_grafana_gets_every_dashboard() -> None:
    found = _production("ConfigMap")["grafana-dashboards"]
    assert found["metadata"]["labels"] == {"grafana_dashboard": "1"}
    files = {file.name for file in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    assert set(found["data"]) == files
    assert sum(map(len, found["data"].values())) < 1_000_000, "a ConfigMap's limit"


def _selects(selector: Object, name: str) -> bool:
    label = "app.kubernetes.io/name"
    wanted = selector.get("matchLabels", {}).get(label, name)
    rules = selector.get("matchExpressions", [])
    return bool(wanted == name and all(name in rule["values"] for rule in rules))


def _edges(direction: str) -> set[tuple[str, str, int]]:
    """(from, to, port) inside the namespace as the policies of one direction allow it."""
    names = [*SERVICES, "gateway", "nats", "mongo", "bus-apply", "migrate", "mongo-init"]
    far, near = ("to", "egress") if direction == "egress" else ("from", "ingress")
    found = set()
    for policy in _find("NetworkPolicy").values():
        for rule in policy["spec"].get(near, []):
            peers = [p for p in rule.get(far, []) if set(p) == {"podSelector"}]
            pairs = (
                (here, there)
                for here in names
                if _selects(policy["spec"]["podSelector"], here)
                for there in names
                if any(_selects(p["podSelector"], there) for p in peers)
            )
            for here, there in pairs:
                edge = (here, there) if direction == "egress" else (there, here)
                found |= {(*edge, port["port"]) for port in rule["ports"]}
    return found


def test_everything_is_denied_that_no_policy_allows() -> None:
    assert _find("NetworkPolicy")["default-deny"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_the_ways_inside_are_these_and_open_at_both_ends() -> None:
    expected = {
        *((service, "nats", 4222) for service in [*SERVICES, "bus-apply"]),
        *((service, "mongo", 27017) for service in [*SERVICES, "mongo-init", "migrate", "mongo"]),
        *(("gateway", service, 8000) for service in SERVICES),
    }
    # The gateway takes whoever comes; the tracker is the one inside that does.
    assert _edges("egress") == {*expected, ("tracker", "gateway", 8000)}
    assert _edges("ingress") == expected


@pytest.mark.parametrize(
    ("service", "ports"),
    [
        pytest.param("dispatcher", {25, 465, 587, 2525, 443}, id="SMTP and OAuth"),
        pytest.param("inbox-watcher", {143, 993, 443}, id="IMAP and OAuth"),
        pytest.param("sender-registry", {25, 465, 587, 2525, 143, 993, 443}, id="tries log-ins"),
        pytest.param("tracker", {443}, id="webhooks, never a mail server"),
        pytest.param("mail-provisioner", {53, 25, 443, 465, 587, 993, 4190}, id="DNS and server"),
        pytest.param("gateway", set(), id="nowhere"),
        pytest.param("nats", set(), id="the bus, nowhere"),
        pytest.param("mongo", set(), id="the database, nowhere"),
    ],
)
def test_who_may_leave_the_cluster_and_where_to(service: str, ports: set[int]) -> None:
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"}
    found: set[int] = set()
    for policy in _find("NetworkPolicy").values():
        if not _selects(policy["spec"]["podSelector"], service):
            continue
        for rule in policy["spec"].get("egress", []):
            blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
            found |= {port["port"] for port in rule["ports"]} if blocks else set()
            for block in blocks:
                v4 = block["cidr"] == "0.0.0.0/0"
                assert set(block["except"]) >= (private if v4 else {"fc00::/7", "fe80::/10"})
    assert found == ports


def test_a_claim_has_one_pod() -> None:
    for claim in _find("PersistentVolumeClaim"):
        users = [
            workload
            for workload in _find("Deployment").values()
            if f"'claimName': '{claim}'" in str(workload)
        ]
        assert len(users) == 1
        assert users[0]["spec"]["strategy"] == {"type": "Recreate"}, "or two pods write at once"


def test_a_selector_finds_its_pods() -> None:
    for kind in ("Deployment", "StatefulSet"):
        for name, workload in _find(kind).items():
            labels = workload["spec"]["template"]["metadata"]["labels"].items()
            assert workload["spec"]["selector"]["matchLabels"].items() <= labels
            assert _find("Service")[name]["spec"]["selector"].items() <= labels
            budget = _find("PodDisruptionBudget")[name]["spec"]
            assert budget["selector"]["matchLabels"].items() <= labels
            assert budget["maxUnavailable"] == 1, "a single replica can still be moved"


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda folder: folder.name)
def test_kubectl_renders_the_same(folder: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here: the manifests were read by our own renderer only")
    result = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

    def key(item: Object) -> tuple[str, str]:
        return item["kind"], item["metadata"]["name"]

    theirs = sorted((o for o in yaml.safe_load_all(result.stdout)), key=key)
    assert sorted(OBJECTS[folder.name], key=key) == theirs
