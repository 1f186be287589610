"""One model, the detector that looks at its pictures, the seal on their files, and the thread that draws with them."""

import base64
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple

from propriety.drawing import DrawRequest, DrawResponse, Health

if TYPE_CHECKING:  # torch and diffusers take seconds to import, in which the worker already answers that it loads
    from generator.last_look import Blocked
    from generator.pipeline import Drawing, Planned
    from propriety.pictures.detector import Detector
    from propriety.pictures.provenance import Seal


class NotReadyError(RuntimeError):
    """The model is not loaded, or cannot be."""


class Loaded(NamedTuple):
    pipe: Any
    detector: "Detector"
    seal: "Seal"


class Worker:
    """Loads everything once, when it is made, in its thread; only that thread draws."""

    def __init__(
        self,
        model: str,
        fast: bool = False,
        detector: str | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """
        Args:
            model, fast: as `generator.pipeline.load`.
            detector: "module:function" that makes a `propriety.pictures.detector.Detector`, instead of the model's usual one.
            certificate, key: as `propriety.pictures.provenance.Seal`.
        """
        self.model = model
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="draw")
        self.loading: Future[Loaded] = self.thread.submit(_load, model, fast, detector, certificate, key)

    def health(self) -> Health:
        if not self.loading.done():
            return Health(model=self.model, loaded=False, size=None)
        if error := self.loading.exception():
            return Health(model=self.model, loaded=False, size=None, error=str(error))
        from generator.pipeline import own_size

        return Health(model=self.model, loaded=True, size=own_size(self.loading.result().pipe))

    def plan(self, requests: Sequence[DrawRequest]) -> list["Planned"]:
        """The pictures that the requests ask for, in order.

        Raises:
            NotReadyError: before the model is loaded.
            CannotDrawError: for what the model cannot draw.
        """
        health = self.health()
        if not health.loaded:
            raise NotReadyError(health.error or f"The model {self.model!r} is loading; try again soon.")
        from generator.pipeline import plan

        return [one for request in requests for one in plan(self.loading.result().pipe, request)]

    def draw(self, batch: Sequence["Planned"], on_step: Callable[[int], None]) -> list["Drawing | Blocked"]:
        """As `generator.last_look.draw_seen`; runs in the worker's thread."""
        from generator.last_look import draw_seen

        return draw_seen(self.loading.result().pipe, self.loading.result().detector, batch, on_step)

    def answer(self, outcomes: Sequence["Drawing | Blocked"], requests: Sequence[DrawRequest]) -> DrawResponse:
        """The outcomes as files, each with the request that it belongs to."""
        from generator.last_look import Blocked
        from propriety.pictures.provenance import facts

        seal = self.loading.result().seal
        files = [
            None if isinstance(one, Blocked) else seal.png(one.image, facts(one.parameters, request))
            for one, request in zip(outcomes, requests, strict=True)
        ]
        return DrawResponse(
            images=[None if file is None else base64.b64encode(file).decode() for file in files],
            parameters=[one.parameters for one in outcomes],
            notes=[one.notes for one in outcomes],
        )


def _load(model: str, fast: bool, detector: str | None, certificate: Path | None, key: Path | None) -> Loaded:
    from generator.last_look import detector_for
    from generator.pipeline import load
    from propriety.pictures.provenance import Seal

    seal = Seal(certificate, key)
    pipe = load(model, fast)
    return Loaded(pipe, resolve_name(detector)() if detector else detector_for(pipe), seal)
