"""From the options of `python -m export tensorrt` to the graphs in their precision, and what they are compared with."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import external_data_helper

from contract.engine_manifest import Precision
from contract.geometry import StudentGeometry
from contract.tensors import MANIFEST_FILE, STUDENT, TEXT_ENCODER, Manifest
from export import seal
from export.engines import calibration, fp8, typed
from export.graphs import graphs
from student import nano, wan_5b
from student.student import Student
from student.wan import WanSizes

_STUDENT_GRAPH = f"{STUDENT}/1/student.onnx"
_CACHE_DTYPES = {Precision.FP32: "float32", Precision.BF16: "bfloat16", Precision.FP8: "bfloat16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Options that belong together, and whose files are there.

    Attributes:
        root: the repository that shall be served with the engines.
        reference: the same student's graphs in float32; None: engines are not compared.
        samples: what FP8 is calibrated on.
    """

    student: str
    precision: Precision
    root: Path
    manifest: Manifest
    reference: Path | None
    samples: tuple[calibration.Sample, ...]
    weights: Path | None
    network: Path | None

    @classmethod
    def of(cls, options: argparse.Namespace, *, default_root: Path) -> Source:
        """Raises FileNotFoundError or ValueError that names the option at fault."""
        nano_student, precision = options.student == "nano", Precision(options.precision)
        root = options.root or (default_root if nano_student else None)
        if root is None:
            raise ValueError("give --root FOLDER, written by `python -m export onnx --student 5b --root FOLDER`")
        manifest = Manifest.read(root)
        if manifest.geometry.name != options.student:
            raise ValueError(f"--student {options.student}: {root / MANIFEST_FILE} is of {manifest.geometry.name!r}")
        stored, wanted = manifest.geometry.cache_dtype, _CACHE_DTYPES[precision]
        if not nano_student and stored != wanted:
            raise ValueError(f"--precision {precision} needs graphs in {wanted}, and those in {root} are in {stored}")
        if (precision is Precision.FP8) != bool(options.calibration):
            raise ValueError("--calibration FOLDER goes with --precision fp8, which needs it")
        if precision is Precision.FP8 and not nano_student and options.random_weights == bool(options.weights):
            raise ValueError("--precision fp8 rounds the weights: give either --weights FOLDER or --random-weights")
        reference = options.reference or (root if nano_student else None)
        if reference is not None:
            _check_reference(reference, manifest.geometry)
        return cls(
            student=options.student,
            precision=precision,
            root=root,
            manifest=manifest,
            reference=reference,
            samples=calibration.samples(options.calibration) if options.calibration else (),
            weights=options.weights,
            network=options.network,
        )

    def graphs(self, out: Path) -> Mapping[str, Path]:
        """Every graph of the student in its precision, those that the repository has not in that precision anew in
        `out`: path within the repository -> file.

        Raises:
            ToolError: FP8 without modelopt.
            FileNotFoundError, CheckpointError: weights are missing or do not fit.
            ValueError: they are others than the repository's.
        """
        found = {name: self.root / name for name in sorted(self.manifest.files) if name.endswith(".onnx")}
        if self.precision is Precision.FP32:
            return found
        if self.student == "nano":
            student = typed.in_precision(nano.load(self.weights or nano.WEIGHTS), self.precision)
            student = replace(student, schedule=self.manifest.schedule)
            only = frozenset(found)
        elif self.precision is Precision.FP8:
            student, only = self._large(), frozenset({_STUDENT_GRAPH})
            _check_weights(self.root / _STUDENT_GRAPH, student)
        else:
            return found
        if self.precision is Precision.FP8:
            self._quantise(student)
        return found | {str(path.relative_to(out)): path for path in typed.write(student, out, only=only)}

    def feed(self, graph: str, sizes: Mapping[str, int]) -> dict[str, npt.NDArray[np.generic]]:
        """Random inputs of a graph, in float32, the same each time."""
        geometry = replace(self.manifest.geometry, cache_dtype="float32")
        shapes_only = nano.build() if self.student == "nano" else _sizes_5b(geometry).meta()
        by_path = {one.path: one for one in graphs(replace(shapes_only, geometry=geometry))}
        torch.manual_seed(0)
        inputs = by_path[graph].inputs(sizes)
        if "timestep" in inputs:
            # Those that are served: of a prepared graph any other gives NaN.
            known = torch.tensor([float(step.timestep) for step in self.manifest.schedule.passes()])
            inputs["timestep"] = known[torch.randint(0, len(known), inputs["timestep"].shape)]
        return {name: value.numpy() for name, value in inputs.items()}

    def _large(self) -> Student:
        """On the CPU, where graphs are traced, and where random weights are those of `python -m export onnx`."""
        sizes = _sizes_5b(self.manifest.geometry)
        if self.weights is None:
            return sizes.build()
        return replace(sizes.load(self.weights, network=self.network), tokenizer=self.manifest.tokenizer)

    def _quantise(self, student: Student) -> None:
        """In place; streams are sampled where `_device` says."""
        file = self.root / TEXT_ENCODER / seal.VERSION / student.tokenizer
        drive = partial(calibration.drive, student, self.samples, calibration.tokenizer(student, file))
        largest = fp8.calibrate(student.network, drive, device=_device())
        torch.cuda.empty_cache()  # TensorRT builds in this process next, and PyTorch would keep what it has let go
        fp8.quantise(student.network, largest)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _sizes_5b(geometry: StudentGeometry) -> WanSizes:
    return replace(wan_5b.sizes(geometry.frame_height, geometry.frame_width), geometry=geometry)


def _check_weights(graph: Path, student: Student) -> None:
    """An engine of other weights would be served with the repository's sha256: one layer is enough to tell."""
    linear = "blocks.0.ffn.2.weight"
    name = f"part.{linear}.transposed"  # as export.streamed names it
    found = onnx.load(graph, load_external_data=False).graph.initializer
    weight = next(tensor for tensor in found if tensor.name == name)
    external_data_helper.load_external_data_for_tensor(weight, str(graph.parent))
    given = student.network.get_parameter(linear).detach().t().contiguous()
    if weight.raw_data != given.view(torch.uint8).numpy().tobytes():
        raise ValueError(f"{graph} has other weights than those that --precision fp8 was given to round")


def _check_reference(reference: Path, geometry: StudentGeometry) -> None:
    of = Manifest.read(reference).geometry
    if of != replace(geometry, cache_dtype="float32"):
        fields = {**geometry.to_json(), "cache_dtype": "float32"}
        wrong = [
            f"{name} {value!r} is not {fields[name]!r}" for name, value in of.to_json().items() if value != fields[name]
        ]
        raise ValueError(f"--reference {reference}: {'; '.join(wrong)}")
