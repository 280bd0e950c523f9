"""Students of the Wan2.2-TI2V kind, at whatever size: shapes only, with random weights, or from a checkpoint."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from contract.geometry import StudentGeometry
from student import checkpoint
from student.checkpoint import CheckpointError
from student.checkpoint_files import Readers
from student.dit import CausalDiT, DiTConfig
from student.key_names import dit_name, text_name, vae_name
from student.student import Student
from student.text import TextConfig, TextEncoder
from student.vae import StreamingVae, VaeConfig

Device = torch.device | str
_TOKENIZER = "tokenizer.json"
PARTS = frozenset({"network", "vae", "text_encoder"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WanFiles:
    """Where the parts of a checkpoint lie. Two layouts are known, of which `tokenizer` may be absent:

    original     *.safetensors with an index, Wan2.2_VAE.pth, models_t5_umt5-xxl-enc-bf16.pth, google/umt5-xxl/
    diffusers    transformer/, vae/, text_encoder/, tokenizer/
    """

    network: Path
    vae: Path
    text_encoder: Path
    tokenizer: Path | None

    @classmethod
    def find(cls, folder: Path, *, network: Path | None = None) -> WanFiles:
        """The files in `folder`, the backbone's replaced by a fine-tune's: a file, or a folder in either layout.

        Raises:
            FileNotFoundError: naming every part that is not there.
        """
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder {folder}")
        converted = (folder / "transformer").is_dir()
        found = cls(
            network=_backbone(network or folder),
            vae=folder / ("vae" if converted else "Wan2.2_VAE.pth"),
            text_encoder=folder / ("text_encoder" if converted else "models_t5_umt5-xxl-enc-bf16.pth"),
            tokenizer=_existing(folder / ("tokenizer" if converted else "google/umt5-xxl") / _TOKENIZER),
        )
        if absent := [str(path) for path in (found.network, found.vae, found.text_encoder) if not path.exists()]:
            raise FileNotFoundError(f"no {', no '.join(absent)}")
        return found

    def its_tokenizer(self) -> Path:
        """FileNotFoundError if there is none."""
        if self.tokenizer is None:
            raise FileNotFoundError(f"no {_TOKENIZER} of umT5 beside the checkpoint's {self.text_encoder.name}")
        return self.tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class WanSizes:
    """The sizes of the three networks; they must fit each other."""

    geometry: StudentGeometry
    vae: VaeConfig
    text: TextConfig

    def __post_init__(self) -> None:
        if (self.geometry.latent_channels, self.geometry.text_dim) != (self.vae.z_dim, self.text.dim):
            raise ValueError("the backbone's latent channels and text width must be the VAE's and the text encoder's")

    def meta(self) -> Student:
        """The networks without memory behind their weights: shapes, names, and what can be traced."""
        with torch.device("meta"):
            network = CausalDiT(DiTConfig.of(self.geometry))
            vae, text_encoder = self.vae.build(), self.text.build()
        # Outside: its statistics are real.
        streaming = StreamingVae(vae)
        for module in (network, streaming, text_encoder):
            module.eval().requires_grad_(False)
        return Student(
            geometry=self.geometry, network=network, vae=streaming, text_encoder=TextEncoder(text_encoder).eval()
        )

    def build(
        self,
        *,
        device: Device = "cpu",
        dtype: torch.dtype = torch.bfloat16,
        seed: int = 0,
        parts: Collection[str] = PARTS,
    ) -> Student:
        """Random weights of sensible scale, each made once, on the device and in the type where it stays.

        Args:
            parts: of PARTS; the others stay on the meta device.
        """
        student = self.meta()
        for name, parameter in _materialised(student, parts, device, dtype).items():
            fill(name, parameter, seed=seed)
        return student

    def load(
        self,
        folder: Path,
        *,
        network: Path | None = None,
        device: Device = "cpu",
        dtype: torch.dtype = torch.bfloat16,
        parts: Collection[str] = PARTS,
    ) -> Student:
        """A checkpoint's weights, read memory-mapped, one tensor at a time, into the device and type where they stay.

        Args:
            folder: Wan2.2-TI2V-5B, in one of the layouts of `WanFiles`.
            network: a fine-tune of the backbone, in either naming: safetensors alone or sharded, or a PyTorch file
                with the weights alone, under `generator_ema` or under `generator`.
            parts: of PARTS; the others stay on the meta device.

        Raises:
            CheckpointError: a file is damaged, or the three do not fit; with every key that is at fault.
            FileNotFoundError: a file is missing.
        """
        student = self.meta()
        with open_weights(student, WanFiles.find(folder, network=network)) as weights:
            for name, parameter in _materialised(student, parts, device, dtype).items():
                parameter.copy_(weights[name]())
        return student


def named_parameters(student: Student) -> dict[str, nn.Parameter]:
    """Every parameter once, by its way from the student: `network.blocks.0.norm3.weight`."""
    return {
        f"{part}.{name}": parameter
        for part, module in _modules(student).items()
        for name, parameter in module.named_parameters()
    }


@contextmanager
def open_weights(student: Student, files: WanFiles) -> Iterator[Readers]:
    """Readers of a checkpoint's tensors by `named_parameters`' names, for as long as the context lasts.

    Raises:
        CheckpointError: unless all three networks fit exactly.
        FileNotFoundError: a file is missing.
    """
    parts = (
        ("network.", student.network, files.network, dit_name),
        ("vae.vae.", student.vae.vae, files.vae, vae_name),
        ("text_encoder.encoder.", student.text_encoder.encoder, files.text_encoder, text_name),
    )
    readers, faults = Readers(), []
    with ExitStack() as opened:
        for prefix, module, path, rename in parts:
            report, found = opened.enter_context(checkpoint.matched(module, path, rename=rename, strict=False))
            if not report.complete:
                faults.append(f"{path}: {report}")
            names = {id(parameter): name for name, parameter in module.named_parameters()}
            targets = module.state_dict(keep_vars=True)
            # A tied parameter may stand in the file under its other name.
            readers |= {prefix + names[id(targets[name])]: found[name] for name in report.loaded}
        if faults:
            raise CheckpointError("\n".join(faults))
        yield readers


def random_weights(student: Student, *, dtype: torch.dtype, seed: int = 0) -> Readers:
    """Readers of the weights that `WanSizes.build` would make on the CPU, one tensor at a time."""

    def draw(name: str, shape: torch.Size) -> Tensor:
        tensor = torch.empty(shape, dtype=dtype)
        fill(name, tensor, seed=seed)
        return tensor

    return {name: partial(draw, name, parameter.shape) for name, parameter in named_parameters(student).items()}


@torch.no_grad()
def fill(name: str, tensor: Tensor, *, seed: int) -> None:
    """Random weights that keep activations finite: norms are ones, the rest has a deviation of fan-in ** -0.5."""
    if ("norm" in name and tensor.ndim == 1 and not name.endswith("bias")) or name.endswith("gamma"):
        tensor.fill_(1)
        return
    generator = torch.Generator(tensor.device).manual_seed(seed ^ zlib.crc32(name.encode()))
    fan_in = math.prod(tensor.shape[1:]) if tensor.ndim > 1 else tensor.numel()
    tensor.normal_(std=fan_in**-0.5, generator=generator)


def _modules(student: Student) -> dict[str, nn.Module]:
    return {"network": student.network, "vae": student.vae, "text_encoder": student.text_encoder}


def _materialised(
    student: Student, parts: Collection[str], device: Device, dtype: torch.dtype
) -> dict[str, nn.Parameter]:
    """The parameters of these parts, as `named_parameters` has them, with memory of unknown content."""
    for part, module in _modules(student).items():
        if part in parts:
            _materialise(module, device, dtype)
    return {name: value for name, value in named_parameters(student).items() if name.split(".")[0] in parts}


def _materialise(module: nn.Module, device: Device, dtype: torch.dtype) -> None:
    """Memory for parameters on the meta device, tied ones once; buffers are real and keep their type."""
    made: dict[int, nn.Parameter] = {}
    for parent in module.modules():
        for name, parameter in list(parent.named_parameters(recurse=False)):
            if id(parameter) not in made:
                empty = torch.empty_like(parameter, device=device, dtype=dtype)
                made[id(parameter)] = nn.Parameter(empty, requires_grad=False)
            setattr(parent, name, made[id(parameter)])
        for name, buffer in list(parent.named_buffers(recurse=False)):
            setattr(parent, name, buffer.to(device))


def _backbone(path: Path) -> Path:
    converted = path / "transformer"
    return converted if converted.is_dir() else path


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None
