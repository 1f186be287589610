"""Scenes as tensors."""

import random

import numpy as np
import torch
from torch import Tensor

from generator.demo_model.scenes import Drawing, Scene, all_scenes, cells, draw


def random_scenes(count: int, seed: int) -> list[tuple[Scene, int]]:
    """`count` training scenes, never a held-out combination, each with its drawing seed."""
    rng = random.Random(seed)
    pool = all_scenes(held_out=False)
    return [(rng.choice(pool), rng.getrandbits(40)) for _ in range(count)]


def pixels(drawing: Drawing) -> Tensor:
    """The picture as uint8, (3, 64, 64)."""
    return torch.from_numpy(np.array(drawing.image)).permute(2, 0, 1).contiguous()


def weights(drawing: Drawing, side: int, on_object: float, on_clothes: float) -> Tensor:
    """What each cell of a `side` x `side` grid counts in a loss: 1, more where clothes or object are. (side, side)."""
    grid = np.ones((side, side), dtype=np.float32)
    grid[cells(drawing.clothes_box, side)] = on_clothes
    grid[cells(drawing.object_box, side)] = on_object
    return torch.from_numpy(grid)


def load_pixels(scenes: list[tuple[Scene, int]]) -> Tensor:
    """Draw all: uint8, (n, 3, 64, 64)."""
    return torch.stack([pixels(draw(scene, seed)) for scene, seed in scenes])


def to_model(image: Tensor) -> Tensor:
    """uint8 in 0..255 to float in -1..1, as diffusers' autoencoders expect."""
    return image.float() / 127.5 - 1
