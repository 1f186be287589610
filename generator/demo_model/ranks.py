"""Training with several single-threaded processes, started by torchrun.

On a small or busy machine they are much faster than one process with several threads, in which each operation waits for
the slowest thread.
"""

import os
from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn


def join() -> int:
    """Join the other ranks, if torchrun started any, with one thread each. Returns this rank's number."""
    if "RANK" not in os.environ:
        return 0
    torch.set_num_threads(1)
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return distributed.get_rank()


def leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor with its mean over all ranks, in one exchange."""
    if not distributed.is_initialized():
        return
    listed = list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in listed])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for tensor, mean in zip(listed, flat.split([tensor.numel() for tensor in listed]), strict=True):
        tensor.copy_(mean.view(tensor.shape))


def average_gradients(model: nn.Module) -> None:
    average(parameter.grad for parameter in model.parameters() if parameter.grad is not None)


def mean_over_ranks(number: float) -> float:
    """The mean of a number over all ranks, so that they all decide the same."""
    tensor = torch.tensor([number], dtype=torch.float64)
    average([tensor])
    return float(tensor)
