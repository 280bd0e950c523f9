"""Optical flow by UniMatch (GMFlow, two scales, six refinements), from a checkout of its repository."""

from __future__ import annotations

import itertools
import threading
from typing import ClassVar

import numpy as np

from curation.config import UniMatch
from curation.frames import Frames
from curation.models.installed import from_checkout, package, require

_PADDING = 32
# What the repository's README gives for gmflow-scale2-regrefine6.
_BUILD = {
    "feature_channels": 128,
    "num_scales": 2,
    "upsample_factor": 4,
    "num_head": 1,
    "ffn_dim_expansion": 4,
    "num_transformer_layers": 6,
    "reg_refine": True,
    "task": "flow",
}
_RUN = {
    "attn_type": "swin",
    "attn_splits_list": [2, 8],
    "corr_radius_list": [-1, 4],
    "prop_radius_list": [-1, 1],
    "num_reg_refine": 6,
    "task": "flow",
}


class UniMatchMeter:
    name: ClassVar[str] = "unimatch"

    def __init__(self, config: UniMatch) -> None:
        self._torch, self._lock, self._device = package(self.name, "torch"), threading.Lock(), config.device
        network = from_checkout(self.name, config.repository, "unimatch.unimatch").UniMatch(**_BUILD)
        state = self._torch.load(config.weights, map_location="cpu", weights_only=True)
        network.load_state_dict(state["model"])
        self._network = network.to(config.device).eval()

    @classmethod
    def check(cls, config: UniMatch) -> None:
        """ModelMissing, without loading anything."""
        advice = "git clone https://github.com/autonomousvision/unimatch, and download a gmflow-scale2-regrefine6 model"
        module = config.repository / "unimatch" / "unimatch.py"
        require(cls.name, packages=("torch",), paths=(module, config.weights), advice=advice)

    def flow(self, frames: Frames) -> list[float]:
        height, width = frames.shape[1:3]
        margins = ((0, 0), (0, -height % _PADDING), (0, -width % _PADDING), (0, 0))
        padded = np.pad(frames, margins, mode="edge")
        pictures = self._torch.from_numpy(padded).permute(0, 3, 1, 2).float()
        found = []
        with self._lock, self._torch.inference_mode():
            for before, after in itertools.pairwise(pictures.to(self._device)):
                flow = self._network(before[None], after[None], **_RUN)["flow_preds"][-1]
                found.append(float(flow[0, :, :height, :width].norm(dim=0).mean()))
        return found
