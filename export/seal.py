"""What surrounds the graphs in a model repository: Triton's configs and the manifest. Needs no PyTorch."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from contract.tensors import MANIFEST_FILE, TEXT_ENCODER, Manifest, models
from export.triton_config import config_text

VERSION = "1"
"""Triton's name of the only version of each model."""
_CONFIG_FILE = "config.pbtxt"
_SEALED_SUFFIXES = (".onnx", ".bin")


def digests(root: Path) -> dict[str, str]:
    """sha256 of every graph and weight file, by its path within the repository."""
    return {
        path.relative_to(root).as_posix(): digest(path)
        for path in sorted(root.glob(f"*/{VERSION}/*"))
        if path.suffix in _SEALED_SUFFIXES
    }


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(root: Path, manifest: Manifest) -> None:
    (root / MANIFEST_FILE).write_text(json.dumps(manifest.to_json(), indent=2) + "\n")


def write_configs(root: Path) -> list[Path]:
    """Generate every model's config.pbtxt from the contract and the manifest's geometry; returns their paths."""
    configs = _configs(root)
    for path, text in configs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(configs)


def place_tokenizer(root: Path, file: Path) -> Path:
    """Copy a tokenizer's file beside the text encoder, where the service looks for the one that the manifest names."""
    target = root / TEXT_ENCODER / VERSION / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    return target


def differences(root: Path) -> list[str]:
    """What in a repository is not as it should be: configs not as generated, files not as the manifest says."""
    found = [
        f"{path.relative_to(root)} is not what `python -m export configs` writes"
        for path, text in _configs(root).items()
        if not path.is_file() or path.read_text() != text
    ]
    sealed, present = Manifest.read(root).files, digests(root)
    found += [f"{name} is missing" for name in sealed if name not in present]
    found += [f"{name} is not in the manifest" for name in present if name not in sealed]
    found += [f"{name} differs from the manifest" for name in sealed if present.get(name, sealed[name]) != sealed[name]]
    return found


def _configs(root: Path) -> dict[Path, str]:
    manifest = Manifest.read(root)
    return {
        root / model.name / _CONFIG_FILE: config_text(model, manifest.executor) for model in models(manifest.geometry)
    }
