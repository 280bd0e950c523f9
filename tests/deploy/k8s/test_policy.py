"""What every rendered pod keeps to, in every overlay and variant. No cluster is asked."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import pytest
import yaml

from contract.arena_layout import HEADER_BYTES, ArenaLayout
from contract.geometry import WAN_5B, StudentGeometry
from contract.tensors import Manifest
from executors.onnx_session import THREADS_VARIABLE
from service.app import DRAIN_SLACK_S, STOP_GRACE_S
from service.config import Settings
from tests.deploy.k8s.manifests import (
    BUILDS,
    GPU_OVERLAYS,
    K8S,
    ROOT,
    SERVING,
    Object,
    config_map,
    container,
    containers,
    everything,
    of_kind,
    one,
    overlay,
    pods,
    quantity,
    render,
    variants,
    volume,
)

SERVES = (*SERVING, *variants())
GPU = "nvidia.com/gpu"
NANO = Manifest.read(ROOT / "model_repository").geometry
BACKEND_BYTES = {"cpu": (16 << 20, 80 << 20), "gpu": (64 << 20, 232 << 20)}
"""Room in /dev/shm for Triton's python backend, least and most: 1 MiB a model instance at first, and more with larger
tensors; a killed Triton leaves its behind."""
SMALLEST_NODE = {"cpu": 96.0, "memory": 1850 * 2**30}
"""Of the machines with 8 H200 (Standard_ND96isr_H200_v5: 96 cores, 1850 GiB); p5en and a3-ultragpu have more."""
NODE_SHARE = 0.95
"""Of a node that pods may ask for, about."""

each = pytest.mark.parametrize("name", everything())
each_serving = pytest.mark.parametrize("name", SERVES)


def serving_pod(name: str) -> Object:
    spec: Object = one(overlay(name), "Deployment")["spec"]["template"]["spec"]
    return spec


def settings(name: str) -> Settings:
    """As the service would read them, apart from files that only a cluster has."""
    found = {key: value for key, value in config_map(overlay(name), "chameleon-settings").items() if "OTEL" not in key}
    return Settings.from_environment({key: value for key, value in found.items() if key != "CHAMELEON_TOKENS"})


@each
def test_every_pod_passes_the_restricted_standard(name: str) -> None:
    """Pod Security `restricted`, and a read-only root besides."""
    for pod in pods(overlay(name)):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC", "hostUsers"}
        for item in containers(pod):
            assert item["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in item.get("ports", []))
        for entry in pod["volumes"]:
            (kind,) = entry.keys() - {"name"}
            assert kind in {"configMap", "emptyDir", "image", "persistentVolumeClaim", "projected", "secret"}


@pytest.mark.parametrize("name", SERVING)
def test_the_namespace_enforces_the_restricted_standard(name: str) -> None:
    labels = one(overlay(name), "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@each
def test_no_pod_holds_a_token_for_the_api(name: str) -> None:
    for pod in pods(overlay(name)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["serviceAccountName"] == "chameleon"


@each
def test_kubernetes_adds_no_variables_that_the_service_would_refuse(name: str) -> None:
    """A Service named chameleon would give CHAMELEON_SERVICE_HOST and its kin: unknown settings."""
    assert all(pod["enableServiceLinks"] is False for pod in pods(overlay(name)))


@each
def test_every_image_is_pinned_by_digest(name: str) -> None:
    """Image volumes too."""
    for pod in pods(overlay(name)):
        images = [item["image"] for item in containers(pod)]
        images += [entry["image"]["reference"] for entry in pod["volumes"] if "image" in entry]
        for image in images:
            assert re.fullmatch(r"[a-z0-9.-]+/[a-z0-9/-]+@sha256:[0-9a-f]{64}", image), image


@each
def test_every_container_says_what_it_needs(name: str) -> None:
    """Memory bounded, no CPU limit: throttling would break real time."""
    for pod in pods(overlay(name)):
        for item in containers(pod):
            asked, bounded = item["resources"]["requests"], item["resources"]["limits"]
            assert asked.keys() == {"cpu", "memory"}
            assert "cpu" not in bounded
            assert quantity(asked["memory"]) <= quantity(bounded["memory"])


@each
def test_only_triton_asks_for_a_gpu(name: str) -> None:
    """And the Job that builds its engines, in the same image."""
    for pod in pods(overlay(name)):
        for item in containers(pod):
            resources = item["resources"]
            asks = GPU in resources.get("limits", {}) or "claims" in resources
            assert asks == (item["name"] in {"triton", "build"} and name != "cpu")


@each_serving
def test_triton_is_a_sidecar_that_the_orchestrator_waits_for(name: str) -> None:
    (triton,) = serving_pod(name)["initContainers"]
    assert triton["restartPolicy"] == "Always"
    port = int(settings(name).triton_url.rpartition(":")[2])  # type: ignore[union-attr]
    assert triton["startupProbe"]["grpc"]["port"] == triton["livenessProbe"]["grpc"]["port"] == port
    assert f"--grpc-port={port}" in triton["args"]
    assert {entry["name"]: entry["containerPort"] for entry in triton["ports"]}["triton-grpc"] == port


@each_serving
def test_probes_ask_where_the_service_listens_and_names_that_it_knows(name: str) -> None:
    from service.rpc.health import LIVENESS, OVERALL

    orchestrator, read = container(serving_pod(name), "orchestrator"), settings(name)
    ports = {entry["name"]: entry["containerPort"] for entry in orchestrator["ports"]}
    assert read.listen == f"0.0.0.0:{ports['grpc']}"
    assert read.metrics_listen == f"0.0.0.0:{ports['metrics']}"
    asked = {
        kind: (orchestrator[kind]["grpc"]["port"], orchestrator[kind]["grpc"].get("service", ""))
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert asked == {
        "startupProbe": (ports["grpc"], LIVENESS),
        "livenessProbe": (ports["grpc"], LIVENESS),  # a lost engine or a drain must not restart the process
        "readinessProbe": (ports["grpc"], OVERALL),
    }
    assert read.tls_cert is None, "the kubelet's gRPC probes speak no TLS"


@each_serving
def test_services_and_monitors_name_ports_that_the_pod_has(name: str) -> None:
    objects = overlay(name)
    named = {entry["name"] for item in containers(serving_pod(name)) for entry in item["ports"]}
    for service in of_kind(objects, "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    # Some network plug-ins find no port of a sidecar by its name: its number must do.
    numbers = {entry["containerPort"] for item in containers(serving_pod(name)) for entry in item["ports"]}
    found_by_name = {entry["name"] for item in serving_pod(name)["containers"] for entry in item["ports"]}
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= found_by_name | numbers
    for monitor in of_kind(objects, "ServiceMonitor"):
        selected = [s for s in of_kind(objects, "Service") if _matches(monitor["spec"]["selector"], s["metadata"])]
        (service,) = selected  # two would count every pod twice
        assert {entry["port"] for entry in monitor["spec"]["endpoints"]} <= {
            port["name"] for port in service["spec"]["ports"]
        }


@each_serving
def test_everything_selects_the_serving_pods_and_nothing_else(name: str) -> None:
    objects = overlay(name)
    deployment = one(objects, "Deployment")
    labels = {"labels": deployment["spec"]["template"]["metadata"]["labels"]}
    assert _matches(deployment["spec"]["selector"], labels)
    assert _matches(one(objects, "PodDisruptionBudget")["spec"]["selector"], labels)
    for service in of_kind(objects, "Service"):
        assert _matches({"matchLabels": service["spec"]["selector"]}, labels)
    (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert _matches(spread["labelSelector"], labels)
    build = {"labels": {"app.kubernetes.io/name": "chameleon", "app.kubernetes.io/component": "engine-build"}}
    assert not _matches(deployment["spec"]["selector"], build)


@each_serving
def test_a_drain_fits_into_the_grace_period(name: str) -> None:
    """preStop, the drain, the service's own slack, then Triton's end."""
    pod = serving_pod(name)
    before = container(pod, "orchestrator")["lifecycle"]["preStop"]["sleep"]["seconds"]
    (exit_s,) = [
        int(word.partition("=")[2]) for word in container(pod, "triton")["args"] if word.startswith("--exit-timeout")
    ]
    needed = before + settings(name).drain_grace_s + DRAIN_SLACK_S + STOP_GRACE_S + exit_s
    assert needed < pod["terminationGracePeriodSeconds"] <= 1.5 * needed
    assert one(overlay(name), "Deployment")["spec"]["progressDeadlineSeconds"] > 2 * needed


@each_serving
def test_settings_are_those_that_the_service_takes(name: str) -> None:
    """`Settings` refuses unknown names and wrong values; OTEL_* are OpenTelemetry's own."""
    given = config_map(overlay(name), "chameleon-settings")
    assert all(key.startswith(("CHAMELEON_", "OTEL_")) for key in given)
    assert settings(name).engine == "triton"
    assert "env" not in container(serving_pod(name), "orchestrator")
    triton = {entry["name"] for entry in container(serving_pod(name), "triton").get("env", [])}
    engines = {"ENGINE_KEY", "CHAMELEON_ENGINES"}
    assert (triton & engines == engines) == (name not in {"cpu", "torch"})
    tokens = container(serving_pod(name), "orchestrator")["volumeMounts"]
    (place,) = [mount["mountPath"] for mount in tokens if mount["name"] == "tokens"]
    assert given["CHAMELEON_TOKENS"] == f"{place}/tokens"


def test_a_model_instance_has_no_more_threads_than_its_container_asks_for_cores() -> None:
    """No CPU limit tells it how few it may use."""
    triton = container(serving_pod("cpu"), "triton")
    (threads,) = [entry["value"] for entry in triton["env"] if entry["name"] == THREADS_VARIABLE]
    assert 1 <= int(threads) <= quantity(triton["resources"]["requests"]["cpu"])


@each_serving
def test_shared_memory_holds_the_arena_the_frames_and_the_backend_and_little_more(name: str) -> None:
    """Sized from the contract; both containers see it; it counts towards the memory of the one that reserves it.

    On a GPU the caches lie in its memory, and only a header and the frames here.
    """
    pod = serving_pod(name)
    shm = volume(pod, "shm")["emptyDir"]
    assert shm["medium"] == "Memory"
    blocks = settings(name).blocks
    if name == "cpu":
        needed = ArenaLayout(geometry=NANO, blocks=blocks).total_bytes + blocks * _frames_bytes(NANO)
    else:  # the blocks lie on the device
        needed = HEADER_BYTES + blocks * _frames_bytes(WAN_5B)
    least, most = BACKEND_BYTES["cpu" if name == "cpu" else "gpu"]
    assert needed + least <= quantity(shm["sizeLimit"]) <= needed + most
    for item in containers(pod):
        (mount,) = [mount for mount in item["volumeMounts"] if mount["mountPath"] == "/dev/shm"]
        assert mount["name"] == "shm"
    orchestrator = container(pod, "orchestrator")["resources"]
    assert quantity(orchestrator["requests"]["memory"]) >= needed + (512 << 20)


@each_serving
def test_the_network_is_shut_but_for_what_is_named(name: str) -> None:
    """Ingress from callers, gateway and Prometheus; egress to a collector, if traces are on. Triton's gRPC: nobody."""
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(overlay(name), "NetworkPolicy")}
    assert policies.pop("default-deny") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    traced = settings(name).traces == "otlp"
    gateway = bool(of_kind(overlay(name), "Gateway"))
    optional = {key for key, there in {"traces": traced, "gateway": gateway}.items() if there}
    assert policies.keys() == {"callers", "prometheus"} | optional
    opened = set()
    for key, policy in policies.items():
        assert policy["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "serving"
        assert policy["policyTypes"] == (["Egress"] if key == "traces" else ["Ingress"])
        for rule in policy.get("ingress", []):
            assert rule["from"]
            opened |= {port["port"] for port in rule["ports"]}
    (triton_metrics,) = (
        port for port in container(serving_pod(name), "triton")["ports"] if port["name"] == "triton-metrics"
    )
    assert opened == {"grpc", "metrics", triton_metrics["containerPort"]}


@pytest.mark.parametrize("name", [*GPU_OVERLAYS, *BUILDS, *variants()])
def test_one_pod_for_each_gpu_fits_on_the_smallest_node(name: str) -> None:
    for pod in pods(overlay(name)):
        for resource, size in SMALLEST_NODE.items():
            asked = sum(quantity(item["resources"]["requests"][resource]) for item in containers(pod))
            assert 8 * asked <= NODE_SHARE * size


@each_serving
@pytest.mark.parametrize("replicas", [2, 8, 64])
def test_a_rollout_and_an_eviction_leave_three_quarters_of_the_pods(name: str, replicas: int) -> None:
    """And take one at least. No GPU is left over for a rollout; elsewhere no pod goes before the next is there."""
    rolling = one(overlay(name), "Deployment")["spec"]["strategy"]["rollingUpdate"]
    more, fewer = (
        math.ceil(share(rolling["maxSurge"], replicas)),
        math.floor(share(rolling["maxUnavailable"], replicas)),
    )
    assert rolling["maxUnavailable" if name == "cpu" else "maxSurge"] == 0
    evicted = math.ceil(share(one(overlay(name), "PodDisruptionBudget")["spec"]["maxUnavailable"], replicas))
    for gone in (max(1, more + fewer), evicted):  # Kubernetes lets one go where rounding leaves none
        assert 1 <= gone <= max(1, replicas // 4)


@pytest.mark.parametrize("name", [*GPU_OVERLAYS, "hpa-tracing"])
def test_prometheus_finds_monitor_and_rules_by_the_label_of_its_release(name: str) -> None:
    """kube-prometheus-stack selects no others."""
    objects = [item for item in overlay(name) if item["apiVersion"].startswith("monitoring.coreos.com/")]
    assert {item["kind"] for item in objects} == {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert {item["metadata"]["labels"]["release"] for item in objects} == {"kube-prometheus-stack"}


@pytest.mark.parametrize("name", [*GPU_OVERLAYS, *variants()])
def test_volumes_are_of_a_class_whose_files_belong_to_the_pods_user(name: str) -> None:
    """Classes made here say so; GKE's own takes the pods' fsGroup."""
    classes = [item for place in GPU_OVERLAYS for item in of_kind(overlay(place), "StorageClass")]
    made = {item["metadata"]["name"]: item for item in classes}
    security = serving_pod(name)["securityContext"]
    user, group = str(security["runAsUser"]), str(security["runAsGroup"])
    for claim in of_kind(overlay(name), "PersistentVolumeClaim"):
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
        chosen = claim["spec"]["storageClassName"]
        if chosen == "standard-rwx":
            assert security["fsGroup"] == security["runAsGroup"]
            continue
        options = dict(option.partition("=")[::2] for option in made[chosen].get("mountOptions", []))
        owner = options | made[chosen]["parameters"]
        assert (owner["uid"], owner["gid"]) == (user, group)


def test_the_pod_that_fills_the_weights_volume_is_of_the_pods_user_and_as_restricted() -> None:
    pod = yaml.safe_load((K8S / "components/weights-pvc/fill.yaml").read_text())["spec"]
    serving, orchestrator = serving_pod("pvc-dra"), container(serving_pod("pvc-dra"), "orchestrator")
    (fill,) = pod["containers"]
    assert pod["securityContext"] == serving["securityContext"]
    assert fill["securityContext"] == orchestrator["securityContext"]
    assert fill["image"] == orchestrator["image"]
    claim = volume(serving, "models")["persistentVolumeClaim"]
    assert claim == volume(pod, "models")["persistentVolumeClaim"] | {"readOnly": True}


@pytest.mark.parametrize("name", GPU_OVERLAYS)
def test_weights_on_a_volume_take_the_place_of_the_image_in_the_pods_and_in_the_build(
    name: str, tmp_path: Path
) -> None:
    """One word changed in two files, as docs/kubernetes.md says."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    folders = [tmp_path / "deploy/k8s/overlays" / name, tmp_path / "deploy/k8s/overlays" / name / "engine-build"]
    for folder in folders:
        file = folder / "kustomization.yaml"
        file.write_text(file.read_text().replace("weights-image", "weights-pvc"))
        (pod,) = pods(render(folder))
        assert volume(pod, "models")["persistentVolumeClaim"] == {"claimName": "chameleon-weights", "readOnly": True}
        assert one(render(folder), "PersistentVolumeClaim", "chameleon-weights")["spec"]["storageClassName"]


def share(value: int | str, of: int) -> float:
    """Of an IntOrString: a number of pods, or per cent of all."""
    return int(value[:-1]) * of / 100 if isinstance(value, str) else value


def _matches(selector: Object, metadata: Object) -> bool:
    return bool(selector["matchLabels"].items() <= metadata["labels"].items())


def _frames_bytes(geometry: StudentGeometry) -> int:
    frames = geometry.video_frames(first_chunk_of_segment=False)
    return frames * geometry.frame_height * geometry.frame_width * 3


def test_settings_of_a_pod_are_read_once() -> None:
    """The names hashed into the ConfigMap's own: a change of a setting rolls the pods."""
    (name,) = [
        item["metadata"]["name"]
        for item in of_kind(overlay("cpu"), "ConfigMap")
        if item["metadata"]["name"].startswith("chameleon-settings")
    ]
    (source,) = container(serving_pod("cpu"), "orchestrator")["envFrom"]
    assert source["configMapRef"]["name"] == name != "chameleon-settings"
