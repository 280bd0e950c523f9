"""Make nvidia-pytriton's tritonserver callable like the one in NVIDIA's image: `tritonserver` on the PATH.

Writes ROOT/bin/tritonserver and ROOT/backends, a copy of the python backend with the stub of the running Python, and
has that Python's packages include IMPORT_PATH: the backend's interpreter ignores PYTHONPATH. Needs only the wheel.
"""

import argparse
import importlib.util
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

COULD_NOT_LOAD = 127
LAUNCHER = """\
#!/bin/sh
export LD_LIBRARY_PATH={libraries}
exec {server} --backend-directory={backends} "$@"
"""


def install(root: Path, import_path: Path, packages: Path) -> Path:
    """The launcher's path. ModuleNotFoundError without the wheel, RuntimeError if its stub finds no libpython."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("nvidia-pytriton is not installed")
    triton = Path(spec.origin).parent / "tritonserver"
    backends = root / "backends"
    shutil.copytree(triton / "backends", backends, ignore=shutil.ignore_patterns("__pycache__"))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = Path(
        shutil.copy2(triton / "python_backend_stubs" / python / "triton_python_backend_stub", backends / "python")
    )
    launcher = root / "bin" / "tritonserver"
    launcher.parent.mkdir(parents=True)
    libraries = [triton.parents[1] / "nvidia_pytriton.libs", Path(sysconfig.get_config_var("LIBDIR"))]
    _check(stub, libraries)
    launcher.write_text(
        LAUNCHER.format(
            libraries=shlex.quote(":".join(map(str, libraries))),
            server=shlex.quote(str(triton / "bin" / "tritonserver")),
            backends=shlex.quote(str(backends)),
        )
    )
    launcher.chmod(0o755)
    (packages / "chameleon.pth").write_text(f"{import_path}\n")
    return launcher


def _check(stub: Path, libraries: list[Path]) -> None:
    """Whether it loads: tritonserver would say that it could not give execute permission, which is not the matter."""
    done = subprocess.run(
        [stub], env={"LD_LIBRARY_PATH": ":".join(map(str, libraries))}, capture_output=True, text=True, check=False
    )
    if done.returncode == COULD_NOT_LOAD:
        raise RuntimeError(f"{done.stderr.strip()} (Debian's Python: install libpython3.11)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--import-path", type=Path, required=True)
    parser.add_argument(
        "--packages", type=Path, default=Path(sysconfig.get_path("purelib")), help="where the .pth goes"
    )
    options = parser.parse_args()
    print(install(options.root, options.import_path, options.packages))


if __name__ == "__main__":
    main()
