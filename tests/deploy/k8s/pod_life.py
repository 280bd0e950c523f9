"""The life of the cpu overlay's pod, told as JSON. Run in user, network and mount namespaces of its own:

unshare --map-root-user --net --mount --pid --fork --kill-child -- python -m tests.deploy.k8s.pod_life FOLDER
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

from chameleon import AsyncChameleon, AsyncSession, ChameleonError, MediaFormat
from demo.inputs import GARMENT, PERSON
from tests.deploy.k8s import images
from tests.deploy.k8s.kubelet import Image, Pod, healthy
from tests.deploy.k8s.manifests import one, overlay

TOKEN = "sesame"
PICTURES = (PERSON.read_bytes(), GARMENT.read_bytes())
"""Read before the pod's own /tmp hides whatever lies there, this project too if it was cloned there."""
VIDEO_S = 4.0
DRAIN_VIDEO_S = 15.0
"""Well beyond preStop's pause, so that the session still runs when the drain begins."""


def prepare(folder: Path) -> Pod:
    """Both images' trees from their Containerfiles, the token's Secret; then everything mounted."""
    tree, triton, packages = folder / "chameleon", folder / "triton", Path(sysconfig.get_path("purelib"))
    for name in ("orchestrator", "triton-cpu"):
        images.build_tree(name, tree)
    (folder / "secret").mkdir()
    (folder / "secret" / "tokens").write_text(f"shop {TOKEN}\n")
    installer = [sys.executable, images.CONTAINERS / "install_triton_wheel.py", "--root", triton, "--packages", folder]
    subprocess.run([*installer, "--import-path", "/opt/chameleon"], check=True, stdout=subprocess.DEVNULL)
    _rename(triton / "bin" / "tritonserver", triton, packages)
    (own,) = packages.glob("_fashionchameleon.pth")
    virtual = Path(sys.prefix)
    kinds = {"orchestrator": "orchestrator", "triton": "triton-cpu"}
    places = {"/opt/chameleon": tree, "/opt/venv": virtual, "/opt/triton": triton}
    objects = overlay("cpu")
    pod = Pod(
        one(objects, "Deployment"),
        objects,
        {name: Image(folders=places, environment=images.environment(kind)) for name, kind in kinds.items()},
    )
    # The editable installation's path gives way to the image's.
    pod.prepare({"chameleon-tokens": folder / "secret"}, {own: folder / "chameleon.pth"})
    return pod


def _rename(launcher: Path, triton: Path, packages: Path) -> None:
    """In the image the launcher was written where it lies; here it was written elsewhere and is mounted there."""
    text = launcher.read_text().replace(str(triton), "/opt/triton")
    launcher.write_text(text.replace(sys.prefix, "/opt/venv"))


class Reader:
    """Reads a session to its end."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.sequences: list[int] = []
        self.frames = 0

    async def until(self, chunks: int) -> None:
        while len(self.sequences) < chunks:
            self._take(await anext(self.session))

    async def to_end(self) -> dict[str, Any]:
        async for chunk in self.session:
            self._take(chunk)
        assert self.session.ended is not None
        return {
            "sequences": self.sequences,
            "frames": self.frames,
            "reason": self.session.ended.reason.name,
        }

    def _take(self, chunk: Any) -> None:
        self.sequences.append(chunk.sequence)
        self.frames += chunk.frame_count


def _until_unready(pod: Pod) -> None:
    while healthy(pod.main.container["readinessProbe"]):
        time.sleep(0.1)


async def life(pod: Pod) -> dict[str, Any]:
    report: dict[str, Any] = {"started": await asyncio.to_thread(pod.start)}

    opening: dict[str, Any] = {"person": PICTURES[0], "garment": PICTURES[1], "prompt": "She turns."}
    async with AsyncChameleon("127.0.0.1:50051", token=TOKEN) as client:
        async with client.open_session(**opening, format=MediaFormat.H264, max_duration_s=VIDEO_S) as session:
            reader = Reader(session)
            await reader.until(1)
            pod.restart_sidecar()
            report["sidecar_restarted"] = await reader.to_end()
        async with client.open_session(**opening, format=MediaFormat.H264, max_duration_s=DRAIN_VIDEO_S) as session:
            reader = Reader(session)
            await reader.until(1)
            ending = asyncio.create_task(asyncio.to_thread(pod.terminate))
            reading = asyncio.create_task(reader.to_end())
            await asyncio.to_thread(_until_unready, pod)
            report["alive_while_draining"] = healthy(pod.main.container["livenessProbe"])
            try:
                async with client.open_session(**opening, timeout_s=5.0):
                    report["new_session"] = "accepted"
            except ChameleonError as error:
                report["new_session"] = error.reason
            report["drained"] = await reading
        report["terminated"] = await ending
    report["restarts"] = {running.name: running.restarts for running in (pod.main, *pod.sidecars)}
    report["liveness_failures"] = pod.main.liveness_failures
    return report


def main() -> None:
    report = asyncio.run(life(prepare(Path(sys.argv[1]))))
    report["shm"] = sorted(path.name for path in Path("/dev/shm").iterdir())
    print(json.dumps(report))


if __name__ == "__main__":
    main()
