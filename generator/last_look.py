"""The last look: each picture is checked before it leaves. An unsafe one is redrawn more strongly, then blocked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from generator.models import model_name
from generator.pipeline import DrawnPicture, Planned, draw_batch, plan
from propriety.drawing import Parameters
from propriety.pictures.detector import THRESHOLD, Detector, opennsfw


@dataclass(frozen=True, slots=True)
class Blocked:
    """A picture that is withheld: how it was last drawn, and why."""

    parameters: Parameters
    notes: list[str]


def detector_for(pipe: Any) -> Detector:
    """The demo model's own detector; for any other model `opennsfw`, which detects only nudity."""
    if model_name(pipe) == "demo":
        from generator.demo_model.detector import demo_detector

        return demo_detector()
    return opennsfw()


def draw_checked(
    pipe: Any, detector: Detector, batch: Sequence[Planned], on_step: Callable[[int], None] | None = None
) -> list[DrawnPicture | Blocked]:
    """Draws pictures of one kind, and redraws unsafe ones with the knobs in their request's `stronger`, in turn.

    A redrawn picture keeps its seed, to stay as similar as possible. A plain picture has no stronger knobs and is
    blocked at once.

    Args:
        on_step: as for `draw_batch`; counts from 1 again when pictures are redrawn.
    """
    outcomes: dict[Planned, DrawnPicture | Blocked] = {}
    left, redraws = list(batch), 0
    while left:
        drawn = draw_batch(pipe, [_strengthened(pipe, planned, redraws) for planned in left], on_step)
        unsafe: list[Planned] = []
        for planned, picture in zip(left, drawn, strict=True):
            risk = detector(picture.image, planned.request)
            notes = picture.notes + ([f"The last look found it unsafe; redrawn {redraws}x."] if redraws else [])
            if risk < THRESHOLD:
                outcomes[planned] = DrawnPicture(picture.image, picture.parameters, notes)
            elif redraws < len(planned.request.stronger):
                unsafe.append(planned)
            else:
                blocked = f"Blocked by the last look: unsafe with probability {risk:.2f}."
                outcomes[planned] = Blocked(picture.parameters, [*notes, blocked])
        left, redraws = unsafe, redraws + 1
    return [outcomes[planned] for planned in batch]


def _strengthened(pipe: Any, planned: Planned, redraws: int) -> Planned:
    if redraws == 0:
        return planned
    knobs = planned.request.stronger[redraws - 1].model_dump()
    (stronger,) = plan(pipe, planned.request.model_copy(update={**knobs, "seed": planned.seed, "n": 1}))
    return stronger
