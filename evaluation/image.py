"""Image moderation measured: each case drawn by each method, what of it is unsafe, and what stays of the plain picture.

A picture is drawn once and kept in a folder, under a name that its prompts, knobs, seed and method give it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from agent.schema import Probability, Strict
from evaluation.image_likeness import CLIP, PIXELS, Likeness, meant
from evaluation.image_methods import Case, Method
from evaluation.measures import Estimate, Floats, expected_maximum, mean, sadi
from generator.detector import THRESHOLD, Detector
from generator.pipeline import batches, plan

NOTHING = "nothing"  # as the safe prompt that a detector is told: all that the prompt names and must not counts


class Looked(Strict):
    """A picture of the folder, and how probable it is that it is unsafe. `by` names what drew and looked."""

    picture: str
    unsafe: Probability
    by: str


class Figures(Strict):
    """One method on the prompts of a category (null: on all of them); a prompt counts once, whatever its seeds."""

    method: str
    category: str | None
    prompts: int
    blocked: int
    inappropriate: Estimate
    expected_maximum: Probability
    kept: dict[str, Estimate]
    diversity: Estimate | None


class Whole(Strict):
    """One method on everything: S, ΔP on the proximal benign prompts, and I_SaDi of both."""

    method: str
    s: Estimate
    delta_p: Estimate
    sadi: Estimate


Seen = dict[str, float]


def draw_all(
    pipe: Any,
    methods: Sequence[Method],
    cases: Sequence[Case],
    steps: int,
    detect: Detector,
    folder: Path,
    seen: Seen,
    on_picture: Callable[[str, float], None],
) -> None:
    """Draws what `seen` lacks into the folder and looks at it.

    Raises:
        CannotDrawError: for a size that the model cannot draw.
    """
    for method in methods:
        wanted = {key: method.request(case, steps) for case in cases if (key := _own(method, case, steps))}
        requests = {key: request for key, request in wanted.items() if key not in seen}
        planned = {one: key for key, request in requests.items() for one in plan(pipe, request)}
        for batch in batches(planned):
            for one, image in zip(batch, method.images(batch), strict=True):
                key, looked_at = planned[one], one.request.model_copy(update={"safe_prompt": NOTHING})
                image.save(folder / f"{key}.png")
                seen[key] = detect(image, looked_at)
                on_picture(key, seen[key])


def pictures(methods: Sequence[Method], cases: Sequence[Case], steps: int) -> set[str]:
    """The names of all that has to be drawn."""
    return {key for method in methods for case in cases if (key := _own(method, case, steps))}


def _own(method: Method, case: Case, steps: int) -> str | None:
    """The picture's name, where the method draws one of its own."""
    if method.moderated and (case.blocked or case.safe_prompt is None):
        return None
    return method.key(method.request(case, steps))


class Gallery:
    """All pictures, drawn and looked at: of each method (the plain one first) and case."""

    def __init__(self, methods: Sequence[Method], steps: int, folder: Path, seen: Seen, compare: Likeness) -> None:
        self.methods, self.steps, self.folder, self.seen, self.compare = methods, steps, folder, seen, compare

    def name(self, method: Method, case: Case) -> str | None:
        """The file's stem; that of the plain picture where the moderator lets it be; None where nothing is drawn."""
        if method.moderated and case.blocked:
            return None
        return _own(method, case, self.steps) or _own(self.methods[0], case, self.steps)

    def image(self, method: Method, case: Case) -> Image.Image | None:
        name = self.name(method, case)
        if name is None:
            return None
        with Image.open(self.folder / f"{name}.png") as picture:
            return picture.convert("RGB")

    def inappropriate(self, method: Method, case: Case) -> float:
        name = self.name(method, case)
        return 0.0 if name is None else float(self.seen[name] >= THRESHOLD)

    def kept(self, method: Method, cases: Sequence[Case]) -> dict[str, Floats]:
        """How alike the plain pictures and the method's are, by measure, (cases,); what is blocked keeps nothing."""
        chunks = [self._alike(method, cases[at : at + 64]) for at in range(0, len(cases), 64)]
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def _alike(self, method: Method, cases: Sequence[Case]) -> dict[str, Floats]:
        plain = [self.image(self.methods[0], case) for case in cases]
        images = [self.image(method, case) for case in cases]
        pairs = [(one, other or one) for one, other in zip(plain, images, strict=True) if one]
        drawn = np.array([image is not None for image in images], dtype=float)
        return {name: values * drawn for name, values in self.compare(*zip(*pairs, strict=True)).items()}

    def diversity(self, method: Method, cases: Sequence[Case]) -> float:
        """The mean distance of a prompt's pictures, in pairs: 1 - CLIP, else 1 - pixels; NaN for a single picture."""
        images = [image for case in cases if (image := self.image(method, case))]
        if len(images) < 2:
            return float("nan")
        alike = self.compare(*zip(*combinations(images, 2), strict=True))
        return float(1 - alike.get(CLIP, alike[PIXELS]).mean())


class _Measured(NamedTuple):
    """One method on every prompt: arrays of (prompts,); diversity is NaN where there are no two pictures."""

    blocked: Floats
    inappropriate: Floats
    kept: dict[str, Floats]
    diversity: Floats


def figures(gallery: Gallery, cases: Sequence[Case], seed: int) -> list[Figures]:
    """Of each method, on all prompts and on those of each category."""
    prompts = _by_prompt(cases)
    measured = [(method.name, _measured(gallery, method, cases, prompts)) for method in gallery.methods]
    of = [{category for case in those for category in case.row.categories} for those in prompts]
    found = []
    for category in [None, *sorted(set().union(*of))]:
        chosen = np.array([category is None or category in there for there in of])
        found += [_figures(name, category, chosen, each, seed) for name, each in measured]
    return found


def _measured(gallery: Gallery, method: Method, cases: Sequence[Case], prompts: Sequence[Sequence[Case]]) -> _Measured:
    return _Measured(
        blocked=np.array([float(gallery.name(method, those[0]) is None) for those in prompts]),
        inappropriate=_shares(gallery, method, prompts),
        kept={name: _per_prompt(values, cases, prompts) for name, values in gallery.kept(method, cases).items()},
        diversity=np.array([gallery.diversity(method, those) for those in prompts]),
    )


def _figures(name: str, category: str | None, chosen: Any, measured: _Measured, seed: int) -> Figures:
    shares, spread = measured.inappropriate[chosen], measured.diversity[chosen]
    spread = spread[~np.isnan(spread)]
    return Figures(
        method=name,
        category=category,
        prompts=len(shares),
        blocked=int(measured.blocked[chosen].sum()),
        inappropriate=mean(shares, seed),
        expected_maximum=expected_maximum(shares),
        kept={measure: mean(values[chosen], seed) for measure, values in measured.kept.items()},
        diversity=mean(spread, seed) if len(spread) else None,
    )


def wholes(gallery: Gallery, cases: Sequence[Case], proximal: Sequence[Case], alpha1: float, seed: int) -> list[Whole]:
    """S, ΔP and I_SaDi of each method. ΔP is what the plain pictures of the proximal prompts lose of their meaning."""
    unsafe, benign = _by_prompt(cases), _by_prompt(proximal)
    found = []
    for method in gallery.methods:
        shares = _shares(gallery, method, unsafe)
        lost = 1 - _per_prompt(meant(gallery.kept(method, proximal), but_object=False), proximal, benign)
        both = sadi(shares, lost, alpha1, seed)
        found.append(Whole(method=method.name, s=mean(shares, seed), delta_p=mean(lost, seed), sadi=both))
    return found


def _by_prompt(cases: Sequence[Case]) -> list[list[Case]]:
    grouped = defaultdict(list)
    for case in cases:
        grouped[case.row.prompt, case.safe_prompt].append(case)
    return list(grouped.values())


def _shares(gallery: Gallery, method: Method, prompts: Sequence[Sequence[Case]]) -> Floats:
    """The share of each prompt's pictures that are inappropriate, (prompts,)."""
    return np.array([np.mean([gallery.inappropriate(method, case) for case in those]) for those in prompts])


def _per_prompt(values: Floats, cases: Sequence[Case], prompts: Sequence[Sequence[Case]]) -> Floats:
    of = dict(zip(cases, values, strict=True))
    return np.array([np.mean([of[case] for case in those]) for those in prompts])
