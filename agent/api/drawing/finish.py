"""The last look and the credentials of pictures whose backend gives neither: as the drawing worker does it, but here.

A backend that takes the safe prompt alone has no stronger knobs to draw with again, so an unsafe picture is blocked.
"""

from __future__ import annotations

import base64
import io
import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from agent.api.drawing.order import Drawn, Order, Parameters
from agent.api.errors import ApiError
from agent.settings import Settings

if TYPE_CHECKING:
    from propriety.pictures.detector import Detector
    from propriety.pictures.provenance import Seal

log = logging.getLogger("propriety")


def finish(settings: Settings, order: Order, drawn: Drawn) -> Drawn:
    """The pictures looked at and signed, those that are unsafe left out; takes a while, so run it in a thread.

    Raises:
        ApiError: 503 where the extra that looks and signs is missing, or the signer's files are no good.
        OSError: where an image cannot be read.
    """
    files = [
        _finished(settings, order, image, parameters)
        for image, parameters in zip(drawn.images, drawn.parameters, strict=True)
        if image is not None
    ]
    return Drawn(images=[file for file, _ in files], parameters=drawn.parameters, notes=[notes for _, notes in files])


def _finished(settings: Settings, order: Order, file: str, parameters: Parameters) -> tuple[str | None, list[str]]:
    detector, seal = _tools(settings.signing_cert, settings.signing_key)
    from PIL import Image

    from propriety.drawing import DrawRequest
    from propriety.pictures.detector import THRESHOLD
    from propriety.pictures.provenance import facts

    with Image.open(io.BytesIO(base64.b64decode(file))) as image:
        risk = detector(image, DrawRequest(prompt=order.prompt, safe_prompt=order.safe_prompt))
        if risk < THRESHOLD:
            return base64.b64encode(seal.png(image, facts(parameters, order))).decode(), []
    return None, [f"Blocked by the last look: unsafe with probability {risk:.2f}."]


@cache
def _tools(certificate: Path | None, key: Path | None) -> tuple[Detector, Seal]:
    try:
        from propriety.pictures.detector import opennsfw
        from propriety.pictures.provenance import Seal, SigningError
    except ImportError as error:
        message = f"{error}: pictures are looked at and signed with an extra; `pip install 'propriety[pictures]'`."
        raise ApiError(503, message, "generator_failed") from None
    try:
        return opennsfw(), Seal(certificate, key)
    except (ImportError, SigningError) as error:
        log.error("pictures cannot be looked at and signed: %s", error)
        message = "Pictures cannot be looked at and signed; the log says why."
        raise ApiError(503, message, "generator_failed") from None
