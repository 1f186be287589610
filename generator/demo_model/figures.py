"""The figures and their clothes. All are adults: there is one adult build, and none smaller."""

import random

from generator.demo_model.brush import INK, Brush, Colour, Point

CLOTHES: dict[str, Colour] = {
    "red": (216, 34, 40),
    "blue": (36, 74, 214),
    "green": (34, 150, 60),
    "yellow": (248, 212, 36),
    "purple": (138, 48, 178),
    "black": (44, 44, 50),
}
SUBJECTS = ("woman", "man", "robot", "bear")
OUTFITS = ("swimsuit", "dress", "coat")

HAND: Point = (17.0, -31.0)
"""The hand that holds the object, relative to the point between the feet."""
_SHOULDER, _ELBOW = 7.0, (13.0, -25.0)
_SKINS: tuple[Colour, ...] = ((250, 214, 182), (236, 188, 148), (198, 140, 98), (134, 88, 58))
_HAIRS: tuple[Colour, ...] = ((60, 38, 26), (34, 28, 32), (146, 86, 40), (206, 160, 74))


def _skin(subject: str, rng: random.Random) -> Colour:
    if subject == "robot":
        grey = rng.randint(164, 184)
        return grey, grey + 6, grey + 16
    if subject == "bear":
        return rng.randint(138, 156), rng.randint(88, 100), 52
    return rng.choice(_SKINS)


def _body(b: Brush, subject: str, outfit: str, cloth: Colour, skin: Colour) -> None:
    trousers: Colour = (74, 70, 84)
    for x in (-4.2, 4.2):
        b.limb([(x, -16), (x, -3)], trousers if outfit == "coat" else skin, 4.4)
        b.ellipse(x + 1.2, -1.2, 4.0, 2.2, (86, 60, 44) if subject in ("woman", "man") else skin, ink=0.8)
    wide = _SHOULDER + (1.0 if subject in ("man", "bear") else 0.0)
    torso: list[Point] = [(-wide, -36), (wide, -36), (6.6, -24), (7.6, -15), (-7.6, -15), (-6.6, -24)]
    if outfit == "swimsuit":
        b.polygon(torso, skin)
        if subject == "man":
            b.polygon([(-7.2, -25), (7.2, -25), (9, -9), (1, -9), (0, -14), (-1, -9), (-9, -9)], cloth)
            b.line([(-2.5, -31), (2.5, -31)], INK, 0.6)
        else:
            left: list[Point] = [(-3, -11.5), (-8, -15), (-6.6, -24), (-6, -35.5), (-2.6, -31)]
            b.polygon([*left, *((-px, py) for px, py in reversed(left))], cloth)
    elif outfit == "dress":
        hem, flare = (-4.0, 9.5) if subject == "man" else (-7.5, 12.5)
        b.polygon([(-wide, -36), (wide, -36), (6.2, -25), (flare, hem), (-flare, hem), (-6.2, -25)], cloth)
        b.line([(-6.0, -24.5), (6.0, -24.5)], (250, 246, 236), 1.6)
    else:
        b.polygon(
            [(-wide - 0.8, -36.5), (wide + 0.8, -36.5), (8.4, -24), (9.8, -8.5), (-9.8, -8.5), (-8.4, -24)], cloth
        )
        b.line([(0, -33), (0, -9)], INK, 0.9)
        b.polygon([(-4.5, -36.5), (0, -29), (4.5, -36.5)], (244, 240, 232), 0.7)
        for y in (-25, -19, -13):
            b.ellipse(3, y, 1.1, 1.1, (250, 226, 140), ink=0)


def _face(b: Brush, mouth: Colour) -> None:
    for x in (-3.2, 3.2):
        b.ellipse(x, -45.5, 1.25, 1.6, INK, ink=0)
    b.line([(-2.6, -41), (0, -40), (2.6, -41)], mouth, 1.5)


def _head(b: Brush, subject: str, skin: Colour, hair: Colour) -> None:
    if subject == "robot":
        b.line([(0, -52), (0, -57)], INK, 1.2)
        b.ellipse(0, -57.5, 1.9, 1.9, (240, 60, 50), ink=0.5)
        b.rectangle(-8.5, -52.5, 8.5, -37, skin)
        for x in (-3.8, 3.8):
            b.ellipse(x, -46.5, 2.4, 2.4, (70, 230, 250), ink=0.7)
        b.rectangle(-4.5, -41.5, 4.5, -39.5, (70, 76, 90), ink=0)
    elif subject == "bear":
        for x in (-7, 7):
            b.ellipse(x, -51.5, 3.8, 3.8, skin)
        b.ellipse(0, -45, 9.4, 8.8, skin)
        b.ellipse(0, -41.5, 4.8, 3.8, (222, 184, 136), ink=0)
        b.ellipse(0, -43, 1.9, 1.4, INK, ink=0)
        for x in (-4, 4):
            b.ellipse(x, -47.5, 1.2, 1.4, INK, ink=0)
    elif subject == "woman":
        b.ellipse(0, -45.0, 8.0, 8.4, skin)
        b.polygon(
            [(-8.2, -44), (-7.6, -50), (-3, -54), (3, -54), (7.6, -50), (8.2, -44), (4, -49), (-2, -50)], hair, ink=0.6
        )
        _face(b, (206, 40, 60))
    else:
        b.ellipse(0, -45.0, 8.0, 8.4, skin)
        b.polygon([(-8, -47), (-7, -52), (0, -55), (7, -52), (8, -47), (5, -50), (-5, -50)], hair, ink=0.6)
        b.polygon(
            [(-7.6, -43), (-3.4, -42.6), (3.4, -42.6), (7.6, -43), (5.6, -38), (0, -35.6), (-5.6, -38)], hair, ink=0
        )
        _face(b, (236, 200, 180))


def draw_figure(b: Brush, subject: str, outfit: str, cloth: Colour, rng: random.Random) -> tuple[Colour, Colour]:
    """Draw a figure that stands on the brush's origin with one arm raised; returns the colours of skin and sleeve."""
    skin, hair = _skin(subject, rng), rng.choice(_HAIRS)
    sleeve = cloth if outfit == "coat" else skin
    if subject == "woman":
        b.polygon([(-8.5, -48), (-4, -54), (4, -54), (8.5, -48), (10, -33), (-10, -33)], hair, ink=0.8)
    _body(b, subject, outfit, cloth, skin)
    b.limb([(-_SHOULDER, -33.5), (-11, -26), (-11.5, -19.5)], sleeve, 4.0)
    b.ellipse(-11.5, -18, 2.4, 2.4, skin)
    b.limb([(_SHOULDER, -33.5), _ELBOW, HAND], sleeve, 4.0)
    _head(b, subject, skin, hair)
    return skin, sleeve
