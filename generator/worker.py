"""One model, its detector, the seal for its files, and the one thread that draws with them."""

import base64
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple

from propriety.drawing import DrawRequest, DrawResponse, Health

if TYPE_CHECKING:  # importing torch and diffusers takes seconds, in which /healthz must already respond
    from generator.last_look import Blocked
    from generator.pipeline import DrawnPicture, Planned
    from propriety.pictures.detector import Detector
    from propriety.pictures.provenance import Seal


class NotReadyError(RuntimeError):
    """The model is still loading, or failed to load."""


class Loaded(NamedTuple):
    pipe: Any
    detector: "Detector"
    seal: "Seal"


class Worker:
    """Starts to load in its own thread when it is created; only that thread draws."""

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
            model, fast: as `generator.models.load`.
            detector: "module:function" that returns a `propriety.pictures.detector.Detector`; None for the model's own.
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
        from generator.models import own_size

        return Health(model=self.model, loaded=True, size=own_size(self.loading.result().pipe))

    def plan(self, requests: Sequence[DrawRequest]) -> list["Planned"]:
        """The pictures of the requests, in order.

        Raises:
            NotReadyError: the model is not loaded.
            CannotDrawError: the model cannot draw one of the requests.
        """
        health = self.health()
        if not health.loaded:
            raise NotReadyError(health.error or f"The model {self.model!r} is still loading; try again soon.")
        from generator.pipeline import plan

        return [picture for request in requests for picture in plan(self.loading.result().pipe, request)]

    def draw(self, batch: Sequence["Planned"], on_step: Callable[[int], None]) -> list["DrawnPicture | Blocked"]:
        """As `generator.last_look.draw_checked`; runs in the worker's thread."""
        from generator.last_look import draw_checked

        return draw_checked(self.loading.result().pipe, self.loading.result().detector, batch, on_step)

    def respond(self, outcomes: Sequence["DrawnPicture | Blocked"], requests: Sequence[DrawRequest]) -> DrawResponse:
        """The outcomes as signed files; `requests` has the request of each outcome."""
        from generator.last_look import Blocked
        from propriety.pictures.provenance import facts

        seal = self.loading.result().seal
        files = [
            None if isinstance(outcome, Blocked) else seal.png(outcome.image, facts(outcome.parameters, request))
            for outcome, request in zip(outcomes, requests, strict=True)
        ]
        return DrawResponse(
            images=[None if file is None else base64.b64encode(file).decode() for file in files],
            parameters=[outcome.parameters for outcome in outcomes],
            notes=[outcome.notes for outcome in outcomes],
        )


def _load(model: str, fast: bool, detector: str | None, certificate: Path | None, key: Path | None) -> Loaded:
    from generator.last_look import detector_for
    from generator.models import load
    from generator.pipeline import warm_up
    from propriety.pictures.provenance import Seal

    seal = Seal(certificate, key)  # first, as it fails sooner
    pipe = load(model, fast)
    if fast:
        warm_up(pipe)
    return Loaded(pipe, resolve_name(detector)() if detector else detector_for(pipe), seal)
