"""A tritonserver of our own: the real server from nvidia-pytriton's wheel, watched, restarted when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.engine.base import EngineError

log = logging.getLogger(__name__)

_BACKEND_POOL_BYTES = 4 << 20
"""Of each model instance, for the requests under way at once. A pool that is too small grows, and stays so."""
_NEWER_FLAGS = ("--allow-client-shm=true",)
"""Needed by newer servers (from 2.69 on), unknown to older ones, which refuse to start with them."""
_STOP_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_LOG_TAIL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonInstallation:
    """Where the parts of a tritonserver lie."""

    server: Path
    backends: Path
    libraries: Path
    stub: Path

    @classmethod
    def find(cls) -> TritonInstallation:
        """The one in nvidia-pytriton's wheel. Raises EngineError if it is not installed."""
        spec = importlib.util.find_spec("pytriton")
        if spec is None or spec.origin is None:
            raise EngineError(
                "there is no tritonserver: install nvidia-pytriton (in a checkout: `pip install -e '.[triton]'`) or "
                "name a running server with CHAMELEON_TRITON_URL"
            )
        package = Path(spec.origin).parent
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        root = package / "tritonserver"
        return cls(
            server=root / "bin" / "tritonserver",
            backends=root / "backends",
            libraries=package.parent / "nvidia_pytriton.libs",
            stub=root / "python_backend_stubs" / python / "triton_python_backend_stub",
        )


class TritonServer:
    """Create, `start`, `stop`. A server that dies in between is started again; `on_exit` hears of each death."""

    def __init__(
        self,
        repository: Path,
        workdir: Path,
        *,
        shm_prefix: str,
        metrics_port: int = 0,
        threads: int | None = None,
        installation: TritonInstallation | None = None,
    ) -> None:
        """
        Args:
            workdir: receives a private backend folder and the log.
            shm_prefix: of the python backend's own shared memory; what a killed server leaves is removed by it.
            metrics_port: Triton's own metrics (`nv_*`); 0 for any free port.
            threads: of each model instance's ONNX Runtime; None for its default.
        """
        self._repository = repository.resolve()
        self._workdir = workdir
        self._shm_prefix = shm_prefix
        self._threads = threads
        self._installation = installation or TritonInstallation.find()
        self._grpc_port = _free_port()
        self._metrics_port = metrics_port or _free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._newer_flags: list[str] = []

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self._grpc_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self._metrics_port}/metrics"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log_path(self) -> Path:
        return self._workdir / "tritonserver.log"

    async def start(self, on_exit: Callable[[], None]) -> None:
        """Returns once the process runs; models load meanwhile. `on_exit()` after each death, before the restart."""
        await asyncio.to_thread(self._prepare)
        await self._launch()
        self._watch = asyncio.create_task(self._keep_running(on_exit), name="watch tritonserver")

    async def kill(self) -> None:
        """End a server that hangs, and its models' processes; it is started again, as after any death."""
        process = self._process
        if process is not None and process.returncode is None:
            _kill_all(process)
            await process.wait()

    async def stop(self) -> None:
        """Stop the process and everything it started. May be called before `start`, and again."""
        try:
            if self._watch is not None:
                self._watch.cancel()
                await asyncio.gather(self._watch, return_exceptions=True)
            if self._process is not None and self._process.returncode is None:
                self._process.terminate()
                try:
                    await asyncio.wait_for(self._process.wait(), _STOP_S)
                except TimeoutError:
                    log.warning("tritonserver did not stop within %s s", _STOP_S)
        finally:  # also if we are told to hurry
            self._sweep()

    def log_tail(self) -> str:
        """The end of the server's log, for error messages."""
        if not self.log_path.is_file():
            return ""
        return self.log_path.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]

    def exited(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def _keep_running(self, on_exit: Callable[[], None]) -> None:
        """Until cancelled. No error ends it: nobody else would start the server again."""
        pause_s = _FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            assert self._process is not None
            began_s = loop.time()
            code = await self._process.wait()
            if loop.time() - began_s > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            log.error("tritonserver exited with %s, starting it again in %.1f s", code, pause_s)
            try:
                try:
                    self._sweep()
                finally:
                    on_exit()
            except Exception:
                log.exception("tritonserver's death could not be dealt with")
            while True:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                try:
                    await self._launch()
                    break
                except Exception:  # no memory, no thread, no disk: they may come back
                    log.exception("tritonserver cannot be started, trying again in %.1f s", pause_s)

    async def _launch(self) -> None:
        if not self._backends.is_dir():  # whoever cleans temporary folders may have taken the work folder with them
            await asyncio.to_thread(self._prepare)
        with self.log_path.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for us: we drain first and stop the server last
            )
        log.info("tritonserver started pid=%s url=%s", self._process.pid, self.url)

    def _command(self) -> list[str]:
        # The server dies with us, however we die.
        setpriv = shutil.which("setpriv")
        command = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        command += [
            str(self._installation.server),
            f"--model-repository={self._repository}",
            f"--backend-directory={self._backends}",
            f"--backend-config=python,shm-region-prefix-name={self._shm_prefix}",
            f"--backend-config=python,shm-default-byte-size={_BACKEND_POOL_BYTES}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self._grpc_port}",
            "--allow-http=false",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={self._metrics_port}",
            "--exit-on-error=true",
            "--exit-timeout-secs=5",
        ]
        return command + self._newer_flags

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        # The backend's Python ignores PYTHONPATH; it takes the environment whose interpreter it finds on PATH, and must
        # run on that interpreter's library.
        python_library = Path(sysconfig.get_config_var("LIBDIR"))
        _prepend(environment, "LD_LIBRARY_PATH", self._installation.libraries, python_library)
        _prepend(environment, "PATH", Path(sys.executable).parent)
        if self._threads is not None:
            environment["CHAMELEON_ENGINE_THREADS"] = str(self._threads)
        return environment

    @property
    def _backends(self) -> Path:
        return self._workdir / "backends"

    def _prepare(self) -> None:
        """A private copy of the python backend with the stub of the running Python beside it; the flags it knows."""
        self._workdir.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._backends, ignore_errors=True)
        shutil.copytree(self._installation.backends, self._backends, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(self._installation.stub, self._backends / "python")
        usage = subprocess.run(
            [self._installation.server, "--help"], env=self._environment(), capture_output=True, text=True, check=False
        )
        known = usage.stdout + usage.stderr
        self._newer_flags = [flag for flag in _NEWER_FLAGS if flag.partition("=")[0] in known]

    def _sweep(self) -> None:
        """End what a killed server left running, and remove its shared memory."""
        if self._process is not None:
            _kill_all(self._process)
        for left in Path("/dev/shm").glob(f"{self._shm_prefix}*"):
            left.unlink(missing_ok=True)


def _kill_all(process: asyncio.subprocess.Process) -> None:
    """The server and the models' processes: it leads their group."""
    with contextlib.suppress(ProcessLookupError):  # nothing was left
        os.killpg(process.pid, signal.SIGKILL)


def _prepend(environment: dict[str, str], variable: str, *folders: Path) -> None:
    rest = environment.get(variable)
    environment[variable] = os.pathsep.join([*map(str, folders), *([rest] if rest else [])])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
