"""The objects a figure can hold, about 1.5 times life size, so that each is recognisable at 64x64.

The hand is the origin, and up is negative. Similar objects (wine and juice, cigarette and lollipop, gun and water
pistol, knife and spoon) differ in outline and colour.
"""

import random
from collections.abc import Callable

from generator.demo_model.brush import Brush

WHITE, SILVER, STEEL = (250, 250, 248), (198, 204, 212), (60, 62, 72)


def _wine(b: Brush, rng: random.Random) -> None:
    red = (rng.randint(130, 165), 10, rng.randint(30, 50))
    b.line([(0, -4), (0, 7)], WHITE, 1.8)
    b.polygon([(-4.6, 8), (4.6, 8), (0, 6)], WHITE, ink=0.6)
    b.polygon([(-6, -18), (6, -18), (6.8, -12), (4, -6.4), (0, -4), (-4, -6.4), (-6.8, -12)], (232, 240, 246))
    level = rng.uniform(-14.5, -12.5)
    b.polygon([(-6.1, level), (6.1, level), (3.6, -6.8), (0, -4.8), (-3.6, -6.8)], red, ink=0)


def _juice(b: Brush, rng: random.Random) -> None:
    orange = (255, rng.randint(150, 175), rng.randint(10, 40))
    b.line([(1, -6), (5, -19)], (40, 160, 70), 1.8)
    b.polygon([(-6, -13), (6, -13), (4.6, 5), (-4.6, 5)], (236, 244, 250))
    b.polygon([(-5.2, rng.uniform(-10.5, -9)), (5.2, -10), (4.1, 4.2), (-4.1, 4.2)], orange, ink=0)
    b.ellipse(-5.6, -13.4, 3.0, 3.0, (255, 225, 60), ink=0.7)


def _cigarette(b: Brush, rng: random.Random) -> None:
    b.rectangle(-2, -1.7, 4.5, 1.7, (226, 140, 60), ink=0.8)
    b.rectangle(4.5, -1.7, 14, 1.7, WHITE, ink=0.8)
    b.ellipse(14.5, 0, 2.0, 2.0, (255, 80, 20), ink=0)
    sway = rng.uniform(-1.0, 1.0)
    b.line([(14.5, -3), (12.5 + sway, -7), (15.5 + sway, -11), (13 + sway, -16)], (150, 150, 158), 2.4)
    b.line([(14.5, -3), (12.5 + sway, -7), (15.5 + sway, -11), (13 + sway, -16)], (214, 214, 220), 1.4)


def _lollipop(b: Brush, rng: random.Random) -> None:
    b.line([(0, 7), (0, -7)], WHITE, 1.8)
    b.ellipse(0, -13, 7.2, 7.2, (rng.randint(240, 255), 70, rng.randint(150, 175)))
    b.ellipse(0, -13, 4.7, 4.7, WHITE, ink=0)
    b.ellipse(0.4, -12.6, 2.6, 2.6, (250, 70, 165), ink=0)


def _gun(b: Brush, rng: random.Random) -> None:
    grey = rng.randint(44, 66)
    dark = (grey, grey, grey + 8)
    b.polygon([(-3, -5), (3.4, -5), (2, 6), (-4.5, 6)], dark)
    b.rectangle(-4, -10.5, 16, -5, dark)
    b.line([(-2, -8.8), (14, -8.8)], (128, 132, 144), 1.2)
    b.line([(3.2, -4.6), (7.5, -4.2), (6.8, -1), (3, -0.6)], dark, 1.2)


def _water_pistol(b: Brush, rng: random.Random) -> None:
    lime = (rng.randint(90, 130), 225, 50)
    b.ellipse(1, -13, 6, 3.8, (60, 190, 250))
    b.polygon([(-3, -5), (3.4, -5), (2, 6), (-4.5, 6)], (255, 130, 20))
    b.rectangle(-5, -10.5, 12, -4.5, lime)
    b.rectangle(12, -9.2, 15, -6, (255, 130, 20), ink=0.6)
    for dx, dy in ((18, -8.5), (20, -5.5)):
        b.ellipse(dx, dy, 1.3, 1.3, (40, 140, 250), ink=0)


def _knife(b: Brush, rng: random.Random) -> None:
    b.polygon([(-2.6, -3), (4.2, -3), (4.2, -14), (-2.6, -21)], (226, 231, 238))
    b.line([(2.2, -4), (2.2, -14)], (150, 158, 172), 1.1)
    b.rectangle(-2.6, -3, 2.6, 7, (rng.randint(92, 116), 52, 26))


def _spoon(b: Brush, rng: random.Random) -> None:
    shine = rng.randint(180, 205)
    silver = (shine, shine + 6, shine + 14)
    b.rectangle(-1.3, -10, 1.3, 9, silver, ink=0.7)
    b.ellipse(0, -15, 4.4, 6.8, silver)
    b.ellipse(-0.6, -15.4, 2.0, 4.2, (236, 240, 246), ink=0)


def _flower(b: Brush, rng: random.Random) -> None:
    b.line([(0, 8), (0, -8)], (30, 130, 50), 2.0)
    b.polygon([(0, -1), (5.5, -5), (4, 0)], (50, 165, 70), ink=0.5)
    pink = (255, rng.randint(120, 150), rng.randint(170, 200))
    for dx, dy in ((0, -17.2), (5, -13.6), (3.2, -8), (-3.2, -8), (-5, -13.6)):
        b.ellipse(dx, dy, 3.7, 3.7, pink, ink=0.6)
    b.ellipse(0, -12.4, 3.2, 3.2, (255, 215, 40), ink=0.5)


def _book(b: Brush, rng: random.Random) -> None:
    b.polygon([(-8, -9), (0, -7), (8, -9), (8, 4.5), (0, 6.5), (-8, 4.5)], (rng.randint(110, 140), 60, 30))
    b.polygon([(-6.8, -10), (0, -7.8), (0, 4.8), (-6.8, 3)], WHITE, ink=0.6)
    b.polygon([(6.8, -10), (0, -7.8), (0, 4.8), (6.8, 3)], WHITE, ink=0.6)
    for y in (-6.2, -3.2, -0.2):
        b.line([(-5.4, y), (-1.6, y + 1.2)], (140, 144, 160), 0.9)
        b.line([(5.4, y), (1.6, y + 1.2)], (140, 144, 160), 0.9)


def _balloon(b: Brush, rng: random.Random) -> None:
    b.line([(0, 4), (1.2, -3), (-0.4, -9)], WHITE, 1.1)
    b.polygon([(-2, -8), (2, -8), (0, -11)], (225, 40, 60), ink=0.5)
    b.ellipse(0, -18, 7.6, 8.8, (rng.randint(232, 250), 50, 70))
    b.ellipse(-2.8, -21, 1.7, 2.5, (255, 200, 205), ink=0)


def _nothing(b: Brush, rng: random.Random) -> None:
    """An empty hand: nothing to draw."""


DRAW: dict[str, Callable[[Brush, random.Random], None]] = {
    "wine glass": _wine,
    "juice glass": _juice,
    "cigarette": _cigarette,
    "lollipop": _lollipop,
    "gun": _gun,
    "water pistol": _water_pistol,
    "knife": _knife,
    "spoon": _spoon,
    "flower": _flower,
    "book": _book,
    "balloon": _balloon,
    "nothing": _nothing,
}
