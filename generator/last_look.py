"""Every picture is looked at before it leaves: an unsafe one is drawn again, more strongly, and at last blocked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from generator.pipeline import Drawing, Planned, draw_batch, model_name, plan
from propriety.drawing import Parameters
from propriety.pictures.detector import THRESHOLD, Detector, opennsfw


@dataclass(frozen=True, slots=True)
class Blocked:
    """A picture that does not leave: how it was drawn last, and why it stays."""

    parameters: Parameters
    notes: list[str]


def detector_for(pipe: Any) -> Detector:
    """The demo model's own, which knows its world; for any other model opennsfw, which knows nudity alone."""
    if model_name(pipe) == "demo":
        from generator.demo_model.detector import demo_detector

        return demo_detector()
    return opennsfw()


def draw_seen(
    pipe: Any, detector: Detector, batch: Sequence[Planned], on_step: Callable[[int], None] | None = None
) -> list[Drawing | Blocked]:
    """Draws pictures of one kind, and again those that are unsafe, with the knobs that their requests name for it.

    The seed stays, so that as much of the picture stays. A plain picture has no stronger knobs and is blocked at once.

    Args:
        on_step: as `draw_batch`; counts from 1 again where something is drawn again.
    """
    seen: dict[Planned, Drawing | Blocked] = {}
    left, again = list(batch), 0
    while left:
        drawings = draw_batch(pipe, [_harder(pipe, one, again) for one in left], on_step)
        unsafe: list[Planned] = []
        for one, drawing in zip(left, drawings, strict=True):
            risk = detector(drawing.image, one.request)
            notes = drawing.notes + ([f"The last look found it unsafe and had it drawn again, {again}x."] * (again > 0))
            if risk < THRESHOLD:
                seen[one] = Drawing(drawing.image, drawing.parameters, notes)
            elif again < len(one.request.stronger):
                unsafe.append(one)
            else:
                blocked = f"Blocked by the last look: unsafe with probability {risk:.2f}."
                seen[one] = Blocked(drawing.parameters, [*notes, blocked])
        left, again = unsafe, again + 1
    return [seen[one] for one in batch]


def _harder(pipe: Any, one: Planned, again: int) -> Planned:
    if again == 0:
        return one
    knobs = one.request.stronger[again - 1].model_dump()
    (harder,) = plan(pipe, one.request.model_copy(update={**knobs, "seed": one.parameters.seed, "n": 1}))
    return harder
