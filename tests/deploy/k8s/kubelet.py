"""As much of a kubelet as one pod needs: environment, mounts, probes, sidecar order, restarts, termination.

Containers are plain processes under the manifest's user id, without capabilities, in the network and mount namespaces
that `Pod.prepare` was called in. Not played: images, cgroups, seccomp.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc._channel  # grpc would import it at first use, when the pod's /tmp may hide where packages lie
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.deploy.k8s.manifests import Object, config_map, quantity

_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` as Kubernetes replaces it; a name that is not there stays."""
    return _VARIABLE.sub(lambda match: environment.get(match[1], match[0]), text)


def environment(container: Object, objects: tuple[Object, ...]) -> dict[str, str]:
    """What the manifest sets, `envFrom` first."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= config_map(objects, source["configMapRef"]["name"])
    for entry in container.get("env", []):
        if "value" in entry:
            found[entry["name"]] = expand(entry["value"], found)
        else:
            reference = entry["valueFrom"]["configMapKeyRef"]
            found[entry["name"]] = config_map(objects, reference["name"])[reference["key"]]
    return found


def healthy(probe: Object) -> bool:
    """One gRPC probe, as the kubelet makes it."""
    with grpc.insecure_channel(f"127.0.0.1:{probe['grpc']['port']}") as channel:
        request = health_pb2.HealthCheckRequest(service=probe["grpc"].get("service", ""))
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=probe["timeoutSeconds"])
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@dataclass(slots=True, kw_only=True)
class Image:
    """What an image brings: its files at `/opt`, its environment."""

    folders: Mapping[str, Path]
    environment: Mapping[str, str]


@dataclass(slots=True)
class Running:
    container: Object
    command: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    liveness_failures: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        name: str = self.container["name"]
        return name

    def launch(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=self.container["workingDir"], env=self.environment)

    def await_probe(self, kind: str) -> float:
        """Seconds until the probe held. TimeoutError as the manifest's own numbers say."""
        probe, began = self.container[kind], time.monotonic()
        for _ in range(probe["failureThreshold"]):
            if healthy(probe):
                return time.monotonic() - began
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} exited with {self.process.returncode}")
            time.sleep(probe["periodSeconds"])
        raise TimeoutError(f"{self.name}: {kind} did not hold")

    def watch_liveness(self) -> None:
        probe = self.container["livenessProbe"]
        while not self.stopping.wait(probe["periodSeconds"]):
            self.liveness_failures += not healthy(probe)

    def keep_running(self) -> None:
        """`restartPolicy: Always`."""
        while not self.stopping.is_set():
            assert self.process is not None
            self.process.wait()
            if not self.stopping.is_set():
                self.restarts += 1
                self.launch()


class Pod:
    """The pod of a rendered Deployment. `prepare` once, inside namespaces of its own; then `start` and `terminate`."""

    def __init__(self, deployment: Object, objects: tuple[Object, ...], images: Mapping[str, Image]) -> None:
        self.spec: Object = deployment["spec"]["template"]["spec"]
        self.images = images
        self.sidecars = [self._running(item, objects) for item in self.spec["initContainers"]]
        (self.main,) = [self._running(item, objects) for item in self.spec["containers"]]

    def _running(self, container: Object, objects: tuple[Object, ...]) -> Running:
        variables = dict(self.images[container["name"]].environment) | environment(container, objects)
        words = [expand(word, variables) for word in [*container["command"], *container.get("args", [])]]
        found = shutil.which(words[0], path=self._outside(variables["PATH"], container["name"]))
        assert found is not None, f"the image of {container['name']} has no {words[0]} on its PATH"
        security = self.spec["securityContext"]
        user = [f"--map-user={security['runAsUser']}", f"--map-group={security['runAsGroup']}"]
        return Running(container, ["unshare", "--user", *user, "--", *words], variables)

    def _outside(self, path: str, container: str) -> str:
        """The image's PATH, as its folders lie before they are mounted."""
        folders = self.images[container].folders
        entries = []
        for entry in path.split(":"):
            inside = next((place for place in folders if entry.startswith(place)), None)
            entries.append(entry if inside is None else str(folders[inside]) + entry.removeprefix(inside))
        return ":".join(entries)

    def prepare(self, secrets: Mapping[str, Path], masks: Mapping[Path, Path]) -> None:
        """Loopback, the images' folders read-only at their places, empty volumes at their sizes, a read-only root.

        Args:
            secrets: name of a Secret -> a folder that stands for it.
            masks: file -> the file shown in its place.
        """
        _loopback_up()
        folders = {place: source for image in self.images.values() for place, source in image.folders.items()}
        mounts = {mount["mountPath"]: mount["name"] for mount in self.main.container["volumeMounts"]}
        for file, shown in masks.items():
            _mount("--bind", shown, file)
        _mount("-t", "tmpfs", "tmpfs", "/opt")
        for place, source in folders.items():
            Path(place).mkdir()
            _mount("--bind", source, place)
            _mount("-o", "remount,bind,ro", place)
        volumes = {entry["name"]: entry for entry in self.spec["volumes"]}
        _mount("-t", "tmpfs", "tmpfs", "/run")
        for place, name in mounts.items():
            if "secret" in volumes[name]:
                Path(place).mkdir(parents=True)
                _mount("--bind", secrets[volumes[name]["secret"]["secretName"]], place)
        _mount("-o", "remount,bind,ro", "/")
        for place, name in mounts.items():
            if "emptyDir" in volumes[name]:
                size = int(quantity(volumes[name]["emptyDir"]["sizeLimit"]))
                _mount("-t", "tmpfs", "-o", f"size={size},mode=1777", "tmpfs", place)

    def start(self) -> dict[str, float]:
        """Sidecars, each after its start-up probe; then the main container until it is ready. Seconds of each."""
        took = {}
        for sidecar in self.sidecars:
            sidecar.launch()
            took[sidecar.name] = sidecar.await_probe("startupProbe")
            self._thread(sidecar.keep_running)
        self.main.launch()
        took[self.main.name] = self.main.await_probe("startupProbe")
        self._thread(self.main.watch_liveness)
        deadline = time.monotonic() + 60
        while not healthy(self.main.container["readinessProbe"]):
            if time.monotonic() > deadline:
                raise TimeoutError("the pod is not ready")
            time.sleep(0.2)
        return took

    def restart_sidecar(self) -> None:
        """As after a failed liveness probe: SIGTERM, and the container begins anew."""
        process = self.sidecars[0].process
        assert process is not None
        process.terminate()

    def terminate(self) -> dict[str, Any]:
        """preStop, SIGTERM, then the sidecars; SIGKILL once the grace period is over. Exit codes and seconds."""
        began = time.monotonic()
        deadline = began + self.spec["terminationGracePeriodSeconds"]
        time.sleep(self.main.container["lifecycle"]["preStop"]["sleep"]["seconds"])
        codes = {}
        for running in (self.main, *reversed(self.sidecars)):
            running.stopping.set()
            process = running.process
            assert process is not None
            process.send_signal(signal.SIGTERM)
            try:
                codes[running.name] = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                codes[running.name] = -signal.SIGKILL
        return {"codes": codes, "seconds": time.monotonic() - began}

    def _thread(self, target: Any) -> None:
        threading.Thread(target=target, daemon=True).start()


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def _loopback_up() -> None:
    """A network namespace begins with its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
