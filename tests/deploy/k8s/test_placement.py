"""Pods and the nodes that are made for them: labels, taints, machine types."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
from dataclasses import dataclass

import pytest

from tests.deploy.k8s.manifests import GPU_OVERLAYS, OVERLAYS, Object, containers, one, overlay, pods

GPU_TAINT = ("nvidia.com/gpu", "NoSchedule")
PODS_OF_A_NODE = 8
"""And GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """What the nodes of a pool carry: labels, and taints as (key, effect)."""

    machines: frozenset[str]
    labels: dict[str, str]
    taints: frozenset[tuple[str, str]]


def flags(overlay_name: str) -> dict[str, str]:
    """Options of the one cloud command in an overlay's node_pool.sh."""
    text = (OVERLAYS / overlay_name / "node_pool.sh").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.startswith(("gcloud ", "az "))]
    (command,) = lines
    words = shlex.split(command)
    found = {}
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--"):
            key, equals, value = word.partition("=")
            found[key] = value if equals else after
    return found


def nodes(overlay_name: str) -> Nodes:
    """As the provider makes them: its own labels and taints, and those that the pool asks for."""
    if overlay_name == "gke-h200":
        given = flags(overlay_name)
        accelerator = dict(part.split("=") for part in given["--accelerator"].split(","))
        return Nodes(
            machines=frozenset({given["--machine-type"]}),
            labels=_pairs(given["--node-labels"]) | {"cloud.google.com/gke-accelerator": accelerator["type"]},
            taints=frozenset({GPU_TAINT}),  # GKE's own, on every pool with GPUs
        )
    if overlay_name == "aks-h200":
        given = flags(overlay_name)
        size = given["--node-vm-size"]
        key, effect = re.fullmatch(r"(.+)=.+:(.+)", given["--node-taints"]).groups()  # type: ignore[union-attr]
        return Nodes(
            machines=frozenset({size}),
            labels=_pairs(given["--labels"]) | {"node.kubernetes.io/instance-type": size},
            taints=frozenset({(key, effect)}),
        )
    template = one(overlay(overlay_name), "NodePool")["spec"]["template"]
    required = {entry["key"]: entry["values"] for entry in template["spec"]["requirements"]}
    single = {key: values[0] for key, values in required.items() if len(values) == 1}
    return Nodes(
        machines=frozenset(required["node.kubernetes.io/instance-type"]),
        labels=template["metadata"]["labels"] | single,
        taints=frozenset((taint["key"], taint["effect"]) for taint in template["spec"]["taints"]),
    )


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split(","))


def workloads(overlay_name: str) -> list[Object]:
    """Serving pods and the engine build."""
    return [*pods(overlay(overlay_name)), *pods(overlay(f"{overlay_name}/engine-build"))]


@pytest.mark.parametrize("name", GPU_OVERLAYS)
def test_pods_select_labels_that_the_nodes_carry(name: str) -> None:
    for pod in workloads(name):
        assert pod["nodeSelector"]["chameleon-pool"] == "h200"
        assert len(pod["nodeSelector"]) == 2  # ours, and one of the provider's that only H200 nodes have
        assert pod["nodeSelector"].items() <= nodes(name).labels.items()


@pytest.mark.parametrize("name", GPU_OVERLAYS)
def test_pods_tolerate_the_taints_of_the_nodes_and_no_more(name: str) -> None:
    """The taint keeps everything else off the GPUs."""
    assert nodes(name).taints == {GPU_TAINT}
    for pod in workloads(name):
        tolerated = {(entry["key"], entry["effect"]) for entry in pod["tolerations"]}
        assert tolerated == nodes(name).taints
        assert all(entry["operator"] == "Exists" for entry in pod["tolerations"])


def test_the_pods_of_the_cpu_overlay_run_anywhere() -> None:
    for pod in pods(overlay("cpu")):
        assert not pod.keys() & {"nodeSelector", "tolerations", "affinity"}


def test_machines_are_those_with_eight_h200() -> None:
    assert {name: nodes(name).machines for name in GPU_OVERLAYS} == {
        "gke-h200": {"a3-ultragpu-8g"},
        "eks-h200": {"p5en.48xlarge", "p5e.48xlarge"},
        "aks-h200": {"Standard_ND96isr_H200_v5"},
    }


@pytest.mark.parametrize("name", GPU_OVERLAYS)
def test_there_are_gpus_for_all_pods_and_a_node_besides(name: str) -> None:
    """For the engines' build, and for the pods of a node that drains."""
    most = one(overlay(name), "ScaledObject")["spec"]["maxReplicaCount"]
    assert one(overlay("hpa-tracing"), "HorizontalPodAutoscaler")["spec"]["maxReplicas"] == most
    assert gpus(name) >= most + PODS_OF_A_NODE


def gpus(overlay_name: str) -> int:
    if overlay_name == "eks-h200":
        return int(one(overlay(overlay_name), "NodePool")["spec"]["limits"]["nvidia.com/gpu"])
    given = flags(overlay_name)
    return PODS_OF_A_NODE * int(given.get("--max-nodes") or given["--max-count"])


def test_a_pool_begins_without_a_node_and_lies_in_one_zone() -> None:
    """gcloud and az make three where they are not told, gcloud as many in each of a regional cluster's zones."""
    gke, aks = flags("gke-h200"), flags("aks-h200")
    assert (gke["--num-nodes"], aks["--node-count"]) == ("0", "0")
    assert gke["--node-locations"] == "$ZONE"


@pytest.mark.parametrize("name", ["eks-h200", "aks-h200"])
def test_a_node_has_longer_than_its_eight_pods_need_to_go(name: str) -> None:
    """Evicted in rounds: the next begins once the pods in place of the last are ready; start-up probes bound that.

    The provider's limit is Karpenter's terminationGracePeriod, AKS's drain timeout.
    """
    (pod,) = pods(overlay(name))
    budget = one(overlay(name), "PodDisruptionBudget")["spec"]["maxUnavailable"]
    rounds = max(math.ceil(min(PODS_OF_A_NODE, fleet) / allowed(budget, fleet)) for fleet in range(2, 65))
    assert rounds == 4, "as docs/kubernetes.md says"
    start_s = sum(
        item["startupProbe"]["failureThreshold"] * item["startupProbe"]["periodSeconds"] for item in containers(pod)
    )
    assert rounds * start_s + pod["terminationGracePeriodSeconds"] < drain_limit_s(name)


def allowed(budget: int | str, fleet: int) -> int:
    """Pods that a disruption budget lets go at once."""
    return math.ceil(fleet * int(budget[:-1]) / 100) if isinstance(budget, str) else budget


def drain_limit_s(overlay_name: str) -> int:
    if overlay_name == "aks-h200":
        return 60 * int(flags(overlay_name)["--drain-timeout"])
    limit = one(overlay(overlay_name), "NodePool")["spec"]["template"]["spec"]["terminationGracePeriod"]
    (hours,) = re.fullmatch(r"([0-9]+)h", limit).groups()  # type: ignore[union-attr]
    return 3600 * int(hours)


def test_karpenter_evicts_the_pods_of_its_nodes_and_empties_none_to_save_one() -> None:
    """A pod that says do-not-disrupt would be deleted at the end, all of a node's at once, past their budget."""
    objects = overlay("eks-h200")
    pool = one(objects, "NodePool")["spec"]
    assert pool["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert pool["template"]["spec"]["nodeClassRef"]["name"] == one(objects, "EC2NodeClass")["metadata"]["name"]
    keeps = {
        name: "karpenter.sh/do-not-disrupt"
        in one(overlay(name), "Deployment")["spec"]["template"]["metadata"]["annotations"]
        for name in ("cpu", *GPU_OVERLAYS)
    }
    assert keeps == {"cpu": True, "gke-h200": True, "eks-h200": False, "aks-h200": True}


@pytest.mark.parametrize("name", ["gke-h200", "aks-h200"])
def test_node_pool_scripts_are_shell_and_say_what_they_need(name: str) -> None:
    script = OVERLAYS / name / "node_pool.sh"
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    done = subprocess.run(["sh", script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "CLUSTER" in done.stderr or "RESOURCE_GROUP" in done.stderr
