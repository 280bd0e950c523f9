"""Processes that train together: started by torchrun, or one alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from training.draws import Share
from training.place import Place


@contextmanager
def place(*, sharded: bool = True) -> Iterator[Place]:
    """This process's place: the group that torchrun's environment names, or alone on the best device there is.

    Args:
        sharded: a group shares the weights out (FSDP2); else each process holds them whole and gradients are averaged.
    """
    cuda = torch.cuda.is_available()
    torch.set_float32_matmul_precision("high")  # TensorFloat-32 on a GPU, as convolutions there have it by default
    if "WORLD_SIZE" not in os.environ:
        yield Place(device=torch.device("cuda" if cuda else "cpu"))
        return
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        share = Share(rank=dist.get_rank(), world=dist.get_world_size())
        mesh = init_device_mesh("cuda" if cuda else "cpu", (share.world,)) if sharded else None
        yield Place(device=torch.device("cuda" if cuda else "cpu"), share=share, mesh=mesh)
    finally:
        dist.destroy_process_group()


def stop_together(stop: bool) -> bool:
    """True on every process if it is on one."""
    if not dist.is_initialized():
        return stop
    device = "cuda" if torch.cuda.is_available() else "cpu"
    asked = torch.tensor(float(stop), device=device)
    dist.all_reduce(asked, op=dist.ReduceOp.MAX)
    return bool(asked.item())


def leave(status: int) -> NoReturn:
    """End a process that was in `place`, as `SystemExit` does.

    One of a gloo group ends without the interpreter's shutdown: PyTorch's threads outlive the group and may still
    drop the last collective's tensors, and asking for the interpreter's lock then aborts a process whose work is done
    (https://github.com/pytorch/pytorch/issues/190489).
    """
    if "WORLD_SIZE" in os.environ and not torch.cuda.is_available():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)
