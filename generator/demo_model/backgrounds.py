"""The settings: each function fills the picture behind the figure, with seeded jitter."""

import math
import random
from collections.abc import Callable

from generator.demo_model.brush import SIZE, Brush, Colour, Point


def _shade(colour: Colour, rng: random.Random, spread: int = 9) -> Colour:
    shift = rng.randint(-spread, spread)
    red, green, blue = (max(0, min(255, channel + shift)) for channel in colour)
    return red, green, blue


def _band(b: Brush, top: float, bottom: float, colour: Colour) -> None:
    b.rectangle(0, top, SIZE, bottom, colour, ink=0)


def _beach(b: Brush, rng: random.Random) -> None:
    horizon, shore = rng.uniform(23, 27), rng.uniform(40, 44)
    _band(b, 0, horizon, _shade((150, 214, 250), rng))
    b.ellipse(rng.uniform(50, 57), rng.uniform(5, 8), 4.5, 4.5, (255, 232, 100), ink=0)
    _band(b, horizon, shore, _shade((32, 132, 208), rng))
    for _ in range(3):
        x, y = rng.uniform(0, 52), rng.uniform(horizon + 3, shore - 3)
        b.line([(x, y), (x + 9, y)], (150, 208, 240), 1.0)
    b.polygon(
        [(0, shore), (20, shore + 1.5), (44, shore - 1), (64, shore + 1), (64, 64), (0, 64)],
        _shade((244, 218, 150), rng),
        0,
    )
    x = rng.uniform(3, 8)
    b.line([(x, 46), (x + 1.5, 30), (x + 4, 18)], (136, 92, 50), 2.6)
    for dx, dy in ((-9, 1), (-7, -6), (2, -8), (9, -5), (10, 3)):
        b.polygon([(x + 4, 17), (x + 4 + dx * 0.6, 15 + dy), (x + 4 + dx, 18 + dy)], _shade((40, 150, 70), rng), 0)


def _city(b: Brush, rng: random.Random) -> None:
    _band(b, 0, 64, _shade((196, 206, 222), rng))
    x = -rng.uniform(0, 5)
    while x < 64:
        width, top = rng.uniform(11, 15), rng.uniform(5, 20)
        wall = _shade(rng.choice([(112, 122, 146), (148, 116, 110), (128, 134, 140), (96, 104, 130)]), rng)
        b.rectangle(x, top, x + width, 50, wall, ink=0.5)
        for row in range(4):
            for column in range(2):
                wx, wy = x + 2 + column * (width / 2 - 0.5), top + 4 + row * 7
                b.rectangle(wx, wy, wx + 3, wy + 3.6, (250, 232, 150), ink=0)
        x += width
    _band(b, 49, 52, (188, 188, 190))
    _band(b, 52, 64, _shade((82, 84, 92), rng))
    start = rng.uniform(-8, 2)
    for i in range(5):
        b.rectangle(start + i * 16, 57.5, start + i * 16 + 8, 59.5, (238, 236, 220), ink=0)


def _kitchen(b: Brush, rng: random.Random) -> None:
    _band(b, 0, 64, _shade((248, 238, 214), rng))
    for i in range(1, 6):
        b.line([(0, i * 8), (64, i * 8)], (226, 212, 184), 0.8)
        b.line([(i * 12 - 4, 0), (i * 12 - 4, 40)], (226, 212, 184), 0.8)
    cabinet = _shade((196, 142, 92), rng)
    b.rectangle(rng.uniform(-3, 0), -1, 20, rng.uniform(9, 12), cabinet, ink=0.7)
    b.rectangle(46, -1, 66, rng.uniform(7, 9), cabinet, ink=0.7)
    _band(b, 38, 41.5, (112, 108, 112))
    _band(b, 41.5, 56, cabinet)
    for x in (2.0, 18.0, 34.0, 50.0):
        b.rectangle(x, 43, x + 13, 54.5, _shade((212, 160, 108), rng, 4), ink=0.5)
    _band(b, 56, 64, _shade((224, 216, 210), rng))
    x = rng.uniform(1, 5)
    b.rectangle(x, 31, x + 9, 38, (188, 60, 50), ink=0.7)
    b.line([(x - 1, 31), (x + 10, 31)], (70, 70, 76), 1.4)


def _park(b: Brush, rng: random.Random) -> None:
    _band(b, 0, 36, _shade((178, 226, 250), rng))
    _band(b, 34, 64, _shade((112, 196, 92), rng))
    for x in (rng.uniform(3, 8), rng.uniform(56, 61)):
        b.rectangle(x - 1.6, 22, x + 1.6, 40, (124, 82, 48), ink=0.4)
        for dx, dy in ((-5, 18), (5, 18), (0, 11), (0, 20)):
            b.ellipse(x + dx, dy, 6.5, 6.5, _shade((46, 138, 62), rng, 6), ink=0)
    b.polygon([(26, 64), (44, 64), (38, 46), (36, 36), (33, 36), (32, 46)], _shade((226, 204, 160), rng), 0)
    for _ in range(5):
        b.ellipse(rng.uniform(2, 62), rng.uniform(46, 62), 0.9, 0.9, (255, 246, 130), ink=0)


def _desert(b: Brush, rng: random.Random) -> None:
    _band(b, 0, 64, _shade((255, 206, 140), rng))
    b.ellipse(rng.uniform(6, 12), rng.uniform(6, 10), 5.5, 5.5, (255, 246, 196), ink=0)
    y = rng.uniform(28, 32)
    far = _shade((214, 138, 72), rng)
    b.polygon([(0, y + 4), (16, y - 4), (34, y + 5), (52, y - 3), (64, y + 3), (64, 64), (0, 64)], far, 0)
    b.polygon([(0, 46), (22, 41), (46, 47), (64, 42), (64, 64), (0, 64)], _shade((232, 164, 92), rng), 0)
    x, green = rng.uniform(4, 9), _shade((64, 132, 70), rng)
    b.limb([(x, 48), (x, 30)], green, 4)
    b.limb([(x + 6, 33), (x + 6, 39), (x, 39)], green, 2.6)


def _mountain(b: Brush, rng: random.Random) -> None:
    _band(b, 0, 64, _shade((140, 176, 222), rng))
    for peak, top in ((rng.uniform(8, 16), rng.uniform(6, 11)), (rng.uniform(46, 56), rng.uniform(8, 14))):
        b.polygon([(peak - 26, 46), (peak, top), (peak + 26, 46)], _shade((104, 116, 146), rng), 0)
        b.polygon([(peak - 7.2, top + 10), (peak, top), (peak + 7.2, top + 10), (peak, top + 8)], (250, 252, 255), 0)
    b.polygon([(0, 41), (20, 44), (44, 40), (64, 43), (64, 64), (0, 64)], _shade((240, 246, 252), rng, 5), 0)
    for x in (rng.uniform(3, 9), rng.uniform(55, 61)):
        for top in (26, 32, 37):
            b.polygon([(x - 5, top + 9), (x, top), (x + 5, top + 9)], _shade((30, 92, 78), rng, 5), 0)


def _living_room(b: Brush, rng: random.Random) -> None:
    _band(b, 0, 46, _shade((196, 164, 200), rng))
    _band(b, 46, 64, _shade((150, 98, 62), rng))
    _band(b, 44.5, 46.5, (238, 230, 232))
    x = rng.uniform(44, 48)
    b.rectangle(x, 4, x + 14, 15, (238, 220, 170), ink=0.8)
    b.polygon([(x + 2, 13), (x + 6, 7), (x + 10, 13)], (92, 150, 110), 0)
    sofa = _shade((56, 120, 128), rng)
    b.rectangle(-2, 32, 66, 48, sofa, ink=0.7)
    b.rectangle(-4, 40, 68, 53, _shade((76, 148, 156), rng, 5), ink=0.7)
    x = rng.uniform(4, 8)
    b.line([(x, 14), (x, 34)], (90, 70, 60), 1.2)
    b.polygon([(x - 6, 15), (x + 6, 15), (x + 3.5, 6), (x - 3.5, 6)], (255, 226, 130), 0.6)


def _counter(b: Brush, rng: random.Random, wall: Colour, wood: Colour, floor: Colour) -> list[Point]:
    """Draws the room of a bar or cafe: two shelves and a counter. Returns the places on the shelves."""
    _band(b, 0, 64, _shade(wall, rng))
    places = list[Point]()
    for y in (rng.uniform(14, 16), rng.uniform(28, 30)):
        b.rectangle(-2, y, 66, y + 1.8, wood, ink=0.5)
        start = rng.uniform(0, 4)
        places += [(start + 6.6 * column, y) for column in range(10)]
    _band(b, 40, 43, _shade(wood, rng))
    _band(b, 43, 57, _shade((wood[0] - 24, wood[1] - 22, wood[2] - 16), rng, 4))
    _band(b, 57, 64, _shade(floor, rng))
    return places


def _bar(b: Brush, rng: random.Random) -> None:
    glass: list[Colour] = [(38, 120, 62), (196, 118, 28), (226, 196, 120), (150, 24, 40)]
    for x, y in _counter(b, rng, (70, 38, 52), (128, 76, 42), (44, 34, 40)):
        colour, height = rng.choice(glass), rng.uniform(5.5, 7.5)
        b.rectangle(x - 0.9, y - height - 3.4, x + 0.9, y - height, colour, ink=0)
        b.rectangle(x - 2, y - height, x + 2, y, colour, ink=0.4)
    for x in (rng.uniform(3, 8), rng.uniform(48, 56)):
        b.ellipse(x + 3.4, 36.5, 2, 2.2, (244, 236, 214), ink=0)
        b.rectangle(x - 2.6, 33, x + 2.6, 40, (244, 180, 40), ink=0.5)
        b.ellipse(x, 33, 3, 1.6, (255, 250, 236), ink=0)


def _cafe(b: Brush, rng: random.Random) -> None:
    cakes: list[Colour] = [(250, 160, 180), (120, 70, 40), (255, 224, 150)]
    for place, (x, y) in enumerate(_counter(b, rng, (206, 226, 204), (222, 170, 116), (236, 214, 190))):
        if place % 2:
            b.polygon([(x - 2.8, y), (x - 2.8, y - 3.4), (x + 2.8, y - 4.6), (x + 2.8, y)], rng.choice(cakes), ink=0.4)
        else:
            b.ellipse(x + 2.4, y - 2.6, 1.6, 1.6, (250, 250, 252), ink=0.4)
            b.rectangle(x - 2.2, y - 4.6, x + 2.2, y, (250, 250, 252), ink=0.4)
    x = rng.uniform(46, 52)
    b.ellipse(x, 34.5, 3.6, 5.5, (74, 150, 190), ink=0.5)
    b.line([(x + 3, 34), (x + 6.5, 31)], (74, 150, 190), 1.6)
    b.ellipse(x, 28.6, 1.2, 1.2, (50, 96, 140), ink=0)


def _battlefield(b: Brush, rng: random.Random) -> None:
    _band(b, 0, 42, _shade((150, 104, 96), rng))
    for x in (rng.uniform(4, 12), rng.uniform(40, 52)):
        for step in range(6):
            b.ellipse(x + step * 1.6, 34 - step * 6, 4 + step, 4 + step, _shade((84, 76, 80), rng, 6), ink=0)
    x = rng.uniform(-3, 2)
    b.polygon([(x, 42), (x, 22), (x + 5, 26), (x + 8, 20), (x + 11, 30), (x + 15, 30), (x + 15, 42)], (66, 56, 58), 0)
    b.polygon([(0, 41), (18, 39), (40, 42), (64, 39), (64, 64), (0, 64)], _shade((98, 80, 58), rng), 0)
    x, y, green = rng.uniform(45, 49), rng.uniform(42, 45), _shade((78, 92, 52), rng)
    b.line([(x + 4, y - 9), (x - 9, y - 12)], green, 2.2)
    b.rectangle(x - 1, y - 12, x + 9, y - 6, green, ink=0.6)
    b.polygon([(x - 7, y - 6), (x + 16, y - 6), (x + 18, y), (x - 9, y)], green, ink=0.6)
    b.polygon([(x - 9, y), (x + 18, y), (x + 14, y + 5), (x - 6, y + 5)], (44, 42, 40), ink=0.6)
    x = rng.uniform(3, 9)
    for size, fire in ((7, (236, 96, 24)), (4, (255, 206, 60))):
        points = [(math.cos(turn * 0.7) * size * (1 - turn % 2 * 0.5), turn) for turn in range(9)]
        b.polygon([(x + dx, 47 + math.sin(turn * 0.7) * size * (1 - turn % 2 * 0.5)) for dx, turn in points], fire, 0)
    for _ in range(3):
        b.ellipse(rng.uniform(2, 62), rng.uniform(54, 62), 4, 1.4, (66, 52, 40), ink=0)


DRAW: dict[str, Callable[[Brush, random.Random], None]] = {
    "beach": _beach,
    "city": _city,
    "kitchen": _kitchen,
    "park": _park,
    "desert": _desert,
    "mountain": _mountain,
    "living room": _living_room,
    "bar": _bar,
    "cafe": _cafe,
    "battlefield": _battlefield,
}
