"""Scenes as tensors."""

import random

import numpy as np
import torch
from torch import Tensor

from generator.demo_model.scenes import DrawnScene, Scene, all_scenes, cells, draw


def random_scenes(count: int, seed: int) -> list[tuple[Scene, int]]:
    """`count` training scenes, none of them held out, each with a seed to draw it."""
    rng = random.Random(seed)
    pool = all_scenes(held_out=False)
    return [(rng.choice(pool), rng.getrandbits(40)) for _ in range(count)]


def pixels(drawing: DrawnScene) -> Tensor:
    """The picture as uint8, (3, 64, 64)."""
    return torch.from_numpy(np.array(drawing.image)).permute(2, 0, 1).contiguous()


def weights(drawing: DrawnScene, side: int, on_object: float, on_clothes: float) -> Tensor:
    """Loss weights (side, side) of the cells of a grid: 1, and more for cells with clothes or the object."""
    grid = np.ones((side, side), dtype=np.float32)
    grid[cells(drawing.clothes_box, side)] = on_clothes
    grid[cells(drawing.object_box, side)] = on_object
    return torch.from_numpy(grid)


def load_pixels(scenes: list[tuple[Scene, int]]) -> Tensor:
    """Draw all scenes: uint8, (n, 3, 64, 64)."""
    return torch.stack([pixels(draw(scene, seed)) for scene, seed in scenes])


def to_model(image: Tensor) -> Tensor:
    """uint8 in 0..255 to float in -1..1, as diffusers' autoencoders expect."""
    return image.float() / 127.5 - 1
