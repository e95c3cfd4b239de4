"""The files for KubeRay have only known keys and meet the requirements of Ray and its operator.

Sources in the kuberay repository: the operator's rules in ray-operator/controllers/ray/utils/validation.go, the keys in
apis/ray/v1/*_types.go. No Kubernetes is used.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.helpers import ROOT

FILES = sorted((ROOT / "cluster" / "kuberay").glob("*.yaml"))
GUARDED = {8265, 10001, 6379}


def keys(required: str, optional: str = "", **known: Any) -> dict[str, Any]:
    """The JSON schema of an object with only these keys; `known` are the schemas of some of them."""
    names = [*required.split(), *optional.split()]
    properties = {name: known.get(name, {}) for name in names}
    return {"type": "object", "required": required.split(), "additionalProperties": False, "properties": properties}


TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
RESOURCES = keys("requests limits", requests=TEXTS, limits=TEXTS)
CONTAINER = keys(
    "name image resources", "securityContext ports volumeMounts env command args lifecycle", resources=RESOURCES
)
POD = keys(
    "containers volumes restartPolicy terminationGracePeriodSeconds",
    "securityContext tolerations nodeSelector affinity serviceAccountName automountServiceAccountToken",
    containers={"type": "array", "minItems": 1, "items": CONTAINER},
    volumes={"type": "array", "items": keys("name", "emptyDir persistentVolumeClaim")},
    restartPolicy={"enum": ["Always", "OnFailure", "Never"]},
    terminationGracePeriodSeconds={"type": "integer"},
)
TEMPLATE = keys("metadata spec", metadata=keys("", "labels annotations", labels=TEXTS, annotations=TEXTS), spec=POD)
HEAD = keys("rayStartParams template", "serviceType headService", rayStartParams=TEXTS, template=TEMPLATE)
GROUP = keys(
    "groupName minReplicas maxReplicas rayStartParams template",
    "replicas idleTimeoutSeconds numOfHosts scaleStrategy suspend",
    rayStartParams=TEXTS,
    template=TEMPLATE,
)
CLUSTER = keys(
    "rayVersion headGroupSpec workerGroupSpecs",
    "authOptions enableInTreeAutoscaling autoscalerOptions gcsFaultToleranceOptions suspend managedBy",
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "items": GROUP},
    authOptions=keys("mode", "secretName enableK8sTokenAuth", mode={"enum": ["disabled", "token"]}),
    autoscalerOptions=keys("", "version idleTimeoutSeconds upscalingMode image env resources", resources=RESOURCES),
)
JOB = keys(
    "entrypoint rayClusterSpec",
    "backoffLimit submissionMode submitterConfig shutdownAfterJobFinishes ttlSecondsAfterFinished runtimeEnvYAML "
    "activeDeadlineSeconds metadata entrypointNumCpus suspend",
    rayClusterSpec=CLUSTER,
    submitterConfig=keys("", "backoffLimit"),
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]},
)
PEER = keys("", "podSelector namespaceSelector ipBlock")
RULE = keys("from", "ports", **{"from": {"type": "array", "minItems": 1, "items": PEER}})
SPECS = {
    "RayCluster": ("ray.io/v1", CLUSTER),
    "RayJob": ("ray.io/v1", JOB),
    "NetworkPolicy": (
        "networking.k8s.io/v1",
        keys("podSelector policyTypes ingress", ingress={"type": "array", "items": RULE}),
    ),
    "PersistentVolumeClaim": ("v1", keys("accessModes resources", "storageClassName")),
}


def documents(path: Path) -> dict[str, dict[str, Any]]:
    """{kind: document}; a file has each kind once."""
    found = [document for document in yaml.safe_load_all(path.read_text()) if document]
    assert len({document["kind"] for document in found}) == len(found)
    return {document["kind"]: document for document in found}


def check(document: dict[str, Any]) -> None:
    version, schema = SPECS[document["kind"]]
    assert document["apiVersion"] == version
    jsonschema.validate(document, keys("apiVersion kind metadata spec", metadata=keys("name", "labels"), spec=schema))


def cluster_of(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return found["RayCluster"]["spec"] if "RayCluster" in found else found["RayJob"]["spec"]["rayClusterSpec"]


def templates(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    """Pod templates: of the head, then of the worker groups."""
    return [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """All mappings in a document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def found(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return documents(request.param)


def test_there_is_a_raycluster_and_a_rayjob() -> None:
    assert [path.name for path in FILES] == ["raycluster.yaml", "rayjob.yaml"]
    assert "RayCluster" in documents(FILES[0]) and "RayJob" in documents(FILES[1])


def test_documents_have_only_known_keys(found: dict[str, dict[str, Any]]) -> None:
    for document in found.values():
        check(document)


@pytest.mark.parametrize("place", ["spec", "authOptions", "template", "containers", "ingress"])
def test_unknown_keys_are_detected(found: dict[str, dict[str, Any]], place: str) -> None:
    for document in map(copy.deepcopy, found.values()):
        if document["kind"] == "PersistentVolumeClaim":
            continue
        for inner in objects(document):
            target = inner.get(place)
            target = target[0] if isinstance(target, list) else target
            if target is not None:
                target["surprise"] = 1
                with pytest.raises(jsonschema.ValidationError, match="surprise"):
                    check(document)
                return
    raise AssertionError(f"no {place}")


def test_the_requirements_of_the_operator_are_met(found: dict[str, dict[str, Any]]) -> None:
    cluster = cluster_of(found)
    pinned = re.search(r"^ray\[.*\]==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert pinned and cluster["rayVersion"] == pinned[1]
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52)
    assert cluster["authOptions"] == {"mode": "token"}
    if "RayCluster" in found:
        assert cluster["enableInTreeAutoscaling"] is True and cluster["autoscalerOptions"]["version"] == "v2"
    assert all(template["spec"]["restartPolicy"] == "Never" for template in templates(cluster))
    variables = {variable["name"] for inner in objects(cluster) for variable in inner.get("env", [])}
    assert not variables & {"RAY_enable_autoscaler_v2", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE"}


def test_the_head_runs_no_trials_and_a_worker_has_a_gpu(found: dict[str, dict[str, Any]]) -> None:
    cluster = cluster_of(found)
    head = cluster["headGroupSpec"]["rayStartParams"]
    assert head["num-cpus"] == "0" and head["num-gpus"] == "0"
    (group,) = cluster["workerGroupSpecs"]
    assert 1 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    (container,) = group["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == container["resources"]["requests"]["nvidia.com/gpu"]
    assert int(container["resources"]["limits"]["nvidia.com/gpu"]) >= 1
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in group["template"]["spec"][
        "tolerations"
    ]


def test_pods_have_shared_memory_drain_time_and_few_privileges(found: dict[str, dict[str, Any]]) -> None:
    for template in templates(cluster_of(found)):
        spec = template["spec"]
        (container,) = spec["containers"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert set(mounts.values()) == set(volumes)
        assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        assert mounts[variables["HEARAI_CACHE"]] == "cache"
        drain = int(variables["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
        assert 30 <= drain < spec["terminationGracePeriodSeconds"] == 120
        assert spec["securityContext"]["runAsNonRoot"] and not container["securityContext"]["allowPrivilegeEscalation"]
        assert "lifecycle" not in container, "`ray stop` in a preStop hook would end trials without draining"


def test_the_volume_claim_is_mounted(found: dict[str, dict[str, Any]]) -> None:
    claim = found["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for template in templates(cluster_of(found)):
        claimed = [
            volume["persistentVolumeClaim"]
            for volume in template["spec"]["volumes"]
            if len(volume) > 1 and "persistentVolumeClaim" in volume
        ]
        assert claimed == [{"claimName": claim["metadata"]["name"]}]
    if "RayJob" in found:
        assert "--storage /shared/" in found["RayJob"]["spec"]["entrypoint"]


def test_the_network_policy_guards_ports(found: dict[str, dict[str, Any]]) -> None:
    policy = found["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    selected = policy["podSelector"]["matchLabels"]
    for template in templates(cluster_of(found)):
        assert selected.items() <= template["metadata"]["labels"].items(), "the policy selects every pod"
    for rule in policy["ingress"]:
        ports = {port["port"] for port in rule.get("ports", [])}
        same_cluster = [peer for peer in rule["from"] if peer == {"podSelector": {"matchLabels": selected}}]
        if same_cluster == rule["from"]:
            continue  # nodes among themselves, on all ports
        assert ports, "rules for others list ports"
        if ports & GUARDED:
            assert ports == {8265}
            for peer in rule["from"]:
                labels = peer["podSelector"]["matchLabels"]
                assert labels == {"app.kubernetes.io/name": "kuberay-operator"} or (
                    labels == {"batch.kubernetes.io/job-name": found["RayJob"]["metadata"]["name"]}
                )


def test_the_entrypoint_is_a_valid_command_of_tune_py() -> None:
    spec = documents(FILES[1])["RayJob"]["spec"]
    source = (ROOT / "experiments" / "tune.py").read_text()
    for option in re.findall(r"--[a-z-]+", spec["entrypoint"]):
        assert f'"{option}"' in source
    assert spec["entrypoint"].endswith("--address auto") and spec["shutdownAfterJobFinishes"] is True
    assert spec["backoffLimit"] > 0, "after a lost head a new cluster continues the study"
