"""Scenes of the demo model's world: their attributes, and how they are drawn."""

import itertools
import random
import zlib
from dataclasses import astuple, dataclass

import numpy as np
from PIL import Image, ImageDraw

from generator.demo_model import backgrounds, objects
from generator.demo_model.brush import SIZE, SUPERSAMPLING, Brush, Colour
from generator.demo_model.figures import CLOTHES, HAND, OUTFITS, SUBJECTS, draw_figure
from generator.demo_model.styles import STYLES

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "setting": tuple(backgrounds.DRAW),
    "subject": SUBJECTS,
    "outfit": OUTFITS,
    "colour": tuple(CLOTHES),
    "object": tuple(objects.DRAW),
    "style": tuple(STYLES),
}
"""Every attribute and its values, in the order of `Scene`'s fields."""

HELD_OUT_PERCENT = 8


@dataclass(frozen=True)
class Scene:
    """One value for each of `ATTRIBUTES`."""

    setting: str
    subject: str
    outfit: str
    colour: str
    object: str
    style: str = "cartoon"

    @property
    def held_out(self) -> bool:
        """Whether training leaves this combination out, in every style: CRC-32 of its values, modulo 100, below 8."""
        return zlib.crc32("|".join(astuple(self)[:-1]).encode()) % 100 < HELD_OUT_PERCENT


@dataclass(frozen=True)
class DrawnScene:
    """`image`: RGB, 64x64. `object_box`, `clothes_box`: (left, top, right, bottom) in pixels."""

    image: Image.Image
    object_box: tuple[float, float, float, float]
    clothes_box: tuple[float, float, float, float]


def all_scenes(*, held_out: bool) -> list[Scene]:
    """Every combination that is (or is not) held out of training, in a fixed order."""
    scenes = (Scene(*values) for values in itertools.product(*ATTRIBUTES.values()))
    return [scene for scene in scenes if scene.held_out is held_out]


def draw(scene: Scene, seed: int) -> DrawnScene:
    """Draw a scene. The same scene and seed give the same pixels. With the same seed, scenes that differ in one
    attribute share layout, shades and details of all the others."""
    canvas, style = Image.new("RGB", (SIZE * SUPERSAMPLING, SIZE * SUPERSAMPLING)), STYLES[scene.style]
    brush = Brush(ImageDraw.Draw(canvas), style.outlines)
    layout = random.Random(f"layout {seed}")
    backgrounds.DRAW[scene.setting](brush, random.Random(f"setting {seed}"))

    x, y, scale = layout.uniform(20, 27), layout.uniform(60, 62.5), layout.uniform(0.95, 1.04)
    cloth = _tint(CLOTHES[scene.colour], layout)
    figure = brush.at(x, y, scale)
    skin, _ = draw_figure(figure, scene.subject, scene.outfit, cloth, random.Random(f"subject {seed}"))

    hand_x, hand_y = x + HAND[0] * scale, y + HAND[1] * scale
    held = brush.at(hand_x, hand_y, scale * layout.uniform(0.95, 1.08), layout.uniform(-0.12, 0.12))
    objects.DRAW[scene.object](held, random.Random(f"object {seed}"))
    held.ellipse(0, 0, 2.5, 2.5, skin)

    image = style.finish(canvas, random.Random(f"style {seed}"))
    object_box = (hand_x - 8, hand_y - 27, hand_x + 20, hand_y + 9)
    return DrawnScene(image, object_box, (x - 12, y - 37, x + 14, y - 6))


def _tint(colour: Colour, rng: random.Random) -> Colour:
    shift = rng.randint(-12, 12)
    red, green, blue = (max(0, min(255, channel + shift)) for channel in colour)
    return red, green, blue


def cells(box: tuple[float, float, float, float], side: int) -> np.ndarray:
    """The cells of a `side` x `side` grid over the picture that a box touches: bool, (side, side), rows first."""
    step = SIZE / side
    edges = np.arange(side) * step
    across = (edges + step > box[0]) & (edges < box[2])
    down = (edges + step > box[1]) & (edges < box[3])
    return np.outer(down, across)
